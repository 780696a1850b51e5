"""Shards as one data set, files that grow, and what an interrupted run leaves."""

import h5py
import numpy as np
import pytest

from xraisim.core.errors import ConfigError, FormatError
from xraisim.files.atomic import partial_path
from xraisim.files.pattern_schema import COUNT, OFFSETS, PIXEL
from xraisim.files.patterns import PatternReader
from xraisim.files.resume import copy_patterns, recover, refuse_leftovers
from xraisim.files.shards import Shard, names_of

from .conftest import as_dicts, as_photons, writer


def test_shards_open_as_one_data_set(tmp_path):
    patterns = [{0: 1, 5: 700}, {}, {47: 255}, {3: 2}, {1: 1}]
    for k, part in enumerate((patterns[:1], patterns[1:3], patterns[3:]), 1):
        with writer(Shard(k, 3).path(tmp_path / "all.h5")) as file:
            file.append(as_photons(part))
    with PatternReader(tmp_path / "all.h5") as reader:
        assert reader.n_patterns == 5
        assert len(reader.files) == 3
        assert as_dicts(reader.read_raw(0, 5)) == patterns
        for start in range(5):
            for stop in range(start, 6):
                assert as_dicts(reader.read_raw(start, stop)) == patterns[start:stop]
    with PatternReader(tmp_path / "all.shard-2-of-3.h5") as reader:
        assert as_dicts(reader.read_raw(0, 2)) == patterns[1:3]


def test_wrong_shards_are_refused(tmp_path):
    for k in (1, 3):
        with writer(Shard(k, 3).path(tmp_path / "all.h5")) as file:
            file.append(as_photons([{1: 1}]))
    with pytest.raises(FormatError, match="shard 2 of 3 missing; make it with --shard 2/3"):
        PatternReader(tmp_path / "all.h5")
    with writer(Shard(2, 3).path(tmp_path / "all.h5")) as file:
        file.append(as_photons([{1: 1}]))
    with h5py.File(tmp_path / "all.shard-2-of-3.h5", "r+") as file:
        file["detector/gain"][...] *= 2
    with pytest.raises(FormatError, match="not of the same experiment"):
        PatternReader(tmp_path / "all.h5")
    with writer(Shard(1, 2).path(tmp_path / "all.h5")) as file:
        file.append(as_photons([{1: 1}]))
    with pytest.raises(FormatError, match="shards of 2 and of 3"):
        PatternReader(tmp_path / "all.h5")


@pytest.mark.parametrize("text", ["3", "0/2", "3/2", "a/b", "1/0"])
def test_a_shard_that_does_not_exist_is_refused(text):
    with pytest.raises(ConfigError, match="shard"):
        Shard.parse(text)


def test_shards_share_the_patterns_out():
    for count in (1, 7, 100):
        parts = [Shard(k, 6).patterns(count) for k in range(1, 7)]
        assert [i for part in parts for i in part] == list(range(count))


def test_a_growing_file_can_be_read(tmp_path):
    """Whole chunks of patterns appear while it is written; all of them when it is done."""
    many = as_photons([{i % 48: 1 + i % 3} for i in range(5000)])
    with writer(tmp_path / "p.h5") as file, PatternReader(tmp_path / "p.h5.partial") as reader:
        assert reader.n_patterns == 0
        for _ in range(120):  # entries appear 2¹⁸ at a time
            file.append(many)
        count = reader.refresh()
        assert 0 < count < 600_000
        assert (count + 1) % 2048 == 0
        assert as_dicts(reader.read_raw(count - 2, count)) == as_dicts(
            many.take(np.arange(count - 2, count) % 5000)
        )
    with PatternReader(tmp_path / "p.h5") as reader:
        assert reader.n_patterns == 600_000


def test_what_a_failed_run_wrote_is_kept(tmp_path):
    many = as_photons([{i % 48: 1} for i in range(5000)])

    def fail():
        with writer(tmp_path / "p.h5") as file:
            for _ in range(120):
                file.append(many)
            raise KeyError("something else")

    with pytest.raises(KeyError):
        fail()
    with pytest.raises(ConfigError, match="continue it with --resume"):
        refuse_leftovers(tmp_path / "p.h5")
    kept = recover(tmp_path / "p.h5")
    with PatternReader(kept) as reader:
        assert reader.n_patterns > 500_000
        provenance = reader.info["provenance"]
    with writer(tmp_path / "p.h5") as file:
        with pytest.raises(ConfigError, match="made with other structure"):
            copy_patterns(kept, file, {**provenance, "structure": "other"})
        done = copy_patterns(kept, file, provenance)
        file.append(many.take(np.arange(done, 600_000) % 5000))
    with writer(tmp_path / "q.h5") as file:
        for _ in range(120):
            file.append(many)
    with h5py.File(tmp_path / "p.h5") as one, h5py.File(tmp_path / "q.h5") as other:
        for name in (OFFSETS, PIXEL, COUNT):
            assert one[name].id.get_num_chunks() == other[name].id.get_num_chunks()
            for chunk in range(one[name].id.get_num_chunks()):
                where = one[name].id.get_chunk_info(chunk).chunk_offset
                assert one[name].id.read_direct_chunk(where) == other[name].id.read_direct_chunk(
                    where
                )


def test_names_of_what_is_begun(tmp_path):
    whole = tmp_path / "a.h5"
    assert names_of(whole) == []
    (tmp_path / "a.shard-2-of-3.h5.partial").touch()
    (tmp_path / "a.shard-1-of-9.truth.h5").touch()
    (tmp_path / "a.shard-1-of-8.h5.interrupted.partial").touch()
    (tmp_path / "b.a.shard-1-of-7.h5").touch()
    shards = [tmp_path / f"a.shard-{k}-of-3.h5" for k in (1, 2, 3)]
    assert names_of(whole) == shards
    shards[0].touch()
    assert names_of(whole) == shards
    (tmp_path / "a.shard-1-of-2.h5").touch()
    with pytest.raises(FormatError, match="shards of 2 and of 3"):
        names_of(whole)
    partial_path(whole).touch()
    assert names_of(whole) == [whole]
