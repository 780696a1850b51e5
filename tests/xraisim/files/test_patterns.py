import errno
import shutil
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xraisim.core.errors import ConfigError, FormatError, UserError
from xraisim.core.types import Photons
from xraisim.files.pattern_schema import COUNT, OFFSETS, PIXEL
from xraisim.files.patterns import PatternReader, PatternWriter
from xraisim.files.resume import copy_patterns, recover, refuse_leftovers
from xraisim.files.shards import Shard
from xraisim.files.truth import read_truth, truth_path, write_truth
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, geometry
from xraisim.photons.hits import Hits
from xraisim.photons.shots import BLANK, MULTIPLE, SINGLE, ShotRecipe, draw_shots

GEOMETRY = geometry(Detector(rows=6, columns=8, pixel_size_mm=9, beamstop_radius_mm=8), Beam())


def writer(path: Path) -> PatternWriter:
    return PatternWriter(
        path,
        detector=GEOMETRY,
        beam=Beam(),
        background=0.25,
        particle_diameter_angstrom=100.0,
        provenance={"structure": "test", "versions": {"x-rai": "0"}},
    )


def as_photons(patterns: list[dict[int, int]]) -> Photons:
    rows = [sorted(pattern.items()) for pattern in patterns]
    flat = [entry for row in rows for entry in row]
    return Photons(
        offsets=np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64),
        pixel=np.array([pixel for pixel, _ in flat], np.int32),
        count=np.array([count for _, count in flat], np.int32),
    )


def as_dicts(photons: Photons) -> list[dict[int, int]]:
    out: list[dict[int, int]] = [{} for _ in range(len(photons))]
    for row, pixel, count in zip(photons.rows(), photons.pixel, photons.count, strict=True):
        out[row][int(pixel)] = out[row].get(int(pixel), 0) + int(count)
    return out


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "patterns.h5"
    with writer(path) as file:
        file.append(as_photons([{0: 1, 5: 700}, {}, {47: 255}]))
    return path


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    blocks=st.lists(
        st.lists(st.dictionaries(st.integers(0, 47), st.integers(1, 2000), max_size=6), max_size=4),
        max_size=3,
    )
)
def test_what_is_written_is_read(tmp_path, blocks):
    path = tmp_path / "patterns.h5"
    with writer(path) as file:
        for block in blocks:
            file.append(as_photons(block))
    patterns = [pattern for block in blocks for pattern in block]
    with PatternReader(path) as reader:
        assert reader.n_patterns == len(patterns)
        assert as_dicts(reader.read_raw(0, len(patterns))) == patterns
        middle = len(patterns) // 2
        assert as_dicts(reader.read_raw(middle, len(patterns))) == patterns[middle:]
        index = reader.pixels.index.numpy()
        good = set(index.tolist())
        kept = [{p: c for p, c in pattern.items() if p in good} for pattern in patterns]
        found = [
            {int(index[p]): c for p, c in row.items()}
            for row in as_dicts(reader.read(0, len(patterns)))
        ]
        assert found == kept


def test_pixels_are_the_usable_ones_sorted_by_s(whole):
    with PatternReader(whole) as reader:
        pixels = reader.pixels
        assert (np.diff(pixels.radius) >= 0).all()
        assert set(pixels.index.tolist()) == set(GEOMETRY.good.tolist())
        np.testing.assert_allclose(pixels.gain, GEOMETRY.gain[pixels.index], rtol=1e-6)
        np.testing.assert_allclose(pixels.s, GEOMETRY.s[pixels.index], rtol=1e-5, atol=1e-9)
        assert (pixels.background == 0.25).all()
        assert pixels.shape == (6, 8)
        assert reader.info["photon_energy_ev"] == 4600.0
        assert reader.info["particle_diameter_angstrom"] == 100.0
        assert reader.info["provenance"]["versions"] == {"x-rai": "0"}


def test_large_counts_are_repeated_entries(whole):
    with h5py.File(whole) as file:
        assert file[COUNT].dtype == np.uint8
        assert file[PIXEL].dtype == np.uint16
        assert file[COUNT][:].tolist() == [1, 255, 255, 190, 255]


def test_every_dataset_has_a_unit(whole):
    with h5py.File(whole) as file:

        def check(name, item):
            if isinstance(item, h5py.Dataset):
                assert item.attrs["units"], name

        file.visititems(check)


def test_nothing_is_left_when_writing_fails(tmp_path):
    def fail():
        with writer(tmp_path / "patterns.h5") as file:
            file.append(as_photons([{1: 1}]))
            raise KeyError("something else")

    with pytest.raises(KeyError):
        fail()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("where", ["create_dataset", "resize", "disk_usage"])
def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch, where):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    if where == "disk_usage":  # asked before HDF5 is, which does not survive a refused write
        monkeypatch.setattr(shutil, where, lambda _: SimpleNamespace(free=1000))
    else:
        monkeypatch.setattr(h5py.Group if where == "create_dataset" else h5py.Dataset, where, full)

    def fill():
        with writer(tmp_path / "patterns.h5") as file:
            file.append(as_photons([{1: 1}]))

    with pytest.raises(UserError, match="no space left on the disk while writing"):
        fill()
    assert not list(tmp_path.iterdir())


def test_the_old_file_stays_until_the_new_one_is_whole(whole):
    before = whole.read_bytes()
    with writer(whole) as file:
        file.append(as_photons([{1: 1}]))
        assert whole.read_bytes() == before
    assert whole.read_bytes() != before


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FormatError, match="no such pattern file"):
        PatternReader(tmp_path / "absent.h5")


def test_a_file_of_another_kind_is_refused(tmp_path):
    text = tmp_path / "text.h5"
    text.write_text("not HDF5")
    with pytest.raises(FormatError, match="not a readable HDF5 file"):
        PatternReader(text)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(FormatError, match="an HDF5 file without a format"):
        PatternReader(tmp_path / "other.h5")


def test_a_newer_version_is_refused(whole):
    with h5py.File(whole, "r+") as file:
        file.attrs["version"] = 99
    with pytest.raises(FormatError, match="version 99; expected 'x-rai patterns', version 1"):
        PatternReader(whole)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_truncated_file_is_refused(whole, share):
    data = whole.read_bytes()
    whole.write_bytes(data[: int(share * len(data))])
    with pytest.raises(FormatError):
        PatternReader(whole)


def test_missing_entries_are_refused(whole):
    with h5py.File(whole, "r+") as file:
        file[PIXEL].resize((3,))
    with pytest.raises(FormatError, match="truncated or damaged"):
        PatternReader(whole)


@pytest.mark.parametrize("name", ["detector/s", "detector/gain", "detector/background"])
def test_nan_is_refused(whole, name):
    with h5py.File(whole, "r+") as file:
        file[name][...] = np.nan
    with pytest.raises(FormatError, match=f"{name} holds NaN"):
        PatternReader(whole)


def test_an_empty_mask_is_refused(whole):
    with h5py.File(whole, "r+") as file:
        file["detector/mask"][...] = 1
    with pytest.raises(FormatError, match="no usable pixel"):
        PatternReader(whole)


def test_impossible_entries_are_refused(whole):
    with h5py.File(whole, "r+") as file:
        file[PIXEL][0] = 4000
    with PatternReader(whole) as reader, pytest.raises(FormatError, match="impossible entries"):
        reader.read(0, 3)
    with h5py.File(whole, "r+") as file:
        file[OFFSETS][1] = 5
        file[OFFSETS][2] = 1
    with PatternReader(whole) as reader, pytest.raises(FormatError, match="impossible entries"):
        reader.read(0, 3)


def test_truth_makes_the_round_trip(tmp_path):
    """Of shots with blanks and several particles, in blocks and in shards."""
    recipe = ShotRecipe(
        beam=Beam(spectral_lines=3, bandwidth=0.01),
        hits=Hits(blank_fraction=0.3, multiple_fraction=0.3),
        species_weights=(1.0, 2.0),
    )
    about = {"seed": 7, "species": ("a", "b"), "structures_sha256": {"a": "0"}, "config": "x = 1\n"}
    defect = np.array([0, 1, 0], np.uint8)

    def blocks(first, stop):
        return [draw_shots(recipe, 7, i, min(20, stop - i)) for i in range(first, stop, 20)]

    path = truth_path(tmp_path / "patterns.h5")
    assert path.name == "patterns.truth.h5"
    write_truth(path, blocks(0, 90), about, defect)
    whole = draw_shots(recipe, 7, 0, 90)
    for k, (first, stop) in enumerate([(0, 30), (30, 60), (60, 90)], 1):
        name = truth_path(tmp_path / f"parts.shard-{k}-of-3.h5")
        write_truth(name, blocks(first, stop), about, defect)
    for found in (read_truth(path), read_truth(truth_path(tmp_path / "parts.h5"))):
        assert (found.hits == whole.hit).all()
        assert set(found.hits) == {BLANK, SINGLE, MULTIPLE}
        for name in ("fluence", "strength", "energy"):
            assert (getattr(found, name) == getattr(whole, name)).all()
        for name in ("offsets", "model", "orientation", "fluence", "size"):
            assert (getattr(found.particles, name) == getattr(whole.particles(), name)).all()
        assert (found.seed, found.species, found.config) == (7, ("a", "b"), "x = 1\n")
        assert (found.defect == defect).all()
        np.testing.assert_array_equal(found.orientations[found.hits == BLANK][0], [1, 0, 0, 0])
        first = whole.orientation[whole.offsets[:-1][whole.hit != BLANK]]
        assert (found.orientations[found.hits != BLANK] == first).all()
    with pytest.raises(FormatError, match="no such truth file"):
        read_truth(tmp_path / "absent.h5")


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
        with pytest.raises(ConfigError, match="made with another structure"):
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
