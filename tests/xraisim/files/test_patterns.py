import errno
import fcntl
import shutil
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xraisim.core.admission import LARGEST_COUNT, check_photons
from xraisim.core.errors import FormatError, UserError
from xraisim.files import pattern_file, photon_tables
from xraisim.files.atomic import partial_path
from xraisim.files.pattern_file import is_marked_open
from xraisim.files.pattern_schema import COUNT, OFFSETS, PIXEL
from xraisim.files.patterns import PatternReader

from .conftest import GEOMETRY, as_dicts, as_photons, writer


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
    with pytest.raises(FormatError, match="version 99; expected 'x-rai patterns', version 2"):
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
    with pytest.raises(FormatError, match=f"{name} is .*nan"):
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


def test_whether_a_writer_has_the_file_open_is_marked(tmp_path):
    path = tmp_path / "patterns.h5"
    with writer(path) as file:
        file.append(as_photons([{1: 1}]))
        assert is_marked_open(partial_path(path))
    assert not is_marked_open(path)
    path.write_bytes(b"short")
    assert not is_marked_open(path)


def test_a_reader_of_a_growing_file_does_not_keep_a_writer_from_beginning(tmp_path):
    partial = partial_path(tmp_path / "patterns.h5")
    with writer(tmp_path / "left.h5") as file:
        file.append(as_photons([{1: 1}]))
    (tmp_path / "left.h5").replace(partial)
    with PatternReader(partial), partial.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_large_counts_are_read_as_one_entry(tmp_path, monkeypatch):
    monkeypatch.setattr(pattern_file, "_ENTRIES", 3)  # entries of a pixel lie in several parts
    monkeypatch.setattr(photon_tables, "_SPLIT_ENTRIES", 4)
    patterns = [{0: 1, 5: 7000}, {}, {46: 255, 47: 256}, {}, {2: 100_000}, {1: 2}]
    with writer(tmp_path / "patterns.h5") as file:
        file.append(as_photons(patterns))
    with PatternReader(tmp_path / "patterns.h5") as reader:
        for start in range(len(patterns)):
            for stop in range(start, len(patterns) + 1):
                found = reader.read_raw(start, stop)
                assert as_dicts(found) == patterns[start:stop]
                assert len(found.pixel) == sum(len(pattern) for pattern in patterns[start:stop])


def test_counts_have_bounds_in_a_pixel_and_in_a_pattern(tmp_path):
    """A pixel of 2³¹ photons would be eight million entries."""
    path = tmp_path / "patterns.h5"
    message = f"count {LARGEST_COUNT + 1} of pixel 3; expected 0 .* mask broken pixels"
    with writer(path) as file, pytest.raises(FormatError, match=message):
        file.append(as_photons([{0: 1}, {3: LARGEST_COUNT + 1}]))
    check_photons(as_photons([dict.fromkeys(range(100), LARGEST_COUNT)]), 200)
    with pytest.raises(FormatError, match="2197815296 photons in a pattern; expected 0 …"):
        check_photons(as_photons([{0: 1}, dict.fromkeys(range(131), LARGEST_COUNT)]), 200)
    with writer(path) as file:
        file.append(as_photons([{3: LARGEST_COUNT}]))
    with h5py.File(path, "r+") as file:
        file[COUNT][-1] = 255
    with PatternReader(path) as reader, pytest.raises(FormatError, match="hold impossible entries"):
        reader.read(0, 1)


def test_version_1_is_read(whole):
    with h5py.File(whole, "r+") as file:
        file.attrs["version"] = 1
        file["provenance"].attrs["seed"] = 3
    with PatternReader(whole) as reader:
        assert reader.n_patterns > 0
        assert reader.info["provenance"]["seed"] == 3
