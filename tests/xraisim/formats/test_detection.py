import h5py
import numpy as np
import pytest

from xraisim.core.errors import FormatError
from xraisim.formats import open_source, recognise, target_format


def test_missing_empty_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(FormatError, match="no such file"):
        recognise(tmp_path / "absent")
    (tmp_path / "empty").touch()
    with pytest.raises(FormatError, match="it is empty"):
        recognise(tmp_path / "empty")
    (tmp_path / "text").write_text("not patterns, but a sentence\n" * 80)
    with pytest.raises(FormatError, match=r"begins with b'not patt'.*expected one of xrai, emc"):
        recognise(tmp_path / "text")


def test_a_truncated_hdf5_file_is_refused(patterns):
    data = patterns.read_bytes()
    patterns.write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError, match="not a readable HDF5 file"):
        recognise(patterns)


def test_the_wrong_format_asked_for_is_one_clear_error(patterns):
    for name in ("cxi", "skopi", "dragonfly-h5", "npz", "npy", "emc"):
        with pytest.raises(FormatError, match=str(patterns)):
            open_source(patterns, name)


@pytest.mark.parametrize(
    ("file", "source", "expected"),
    [
        ("a.emc", "xrai", "emc"),
        ("a.cxi", "xrai", "cxi"),
        ("a.npy", "cxi", "npy"),
        ("a.npz", "cxi", "npz"),
        ("a.dat", "xrai", "dragonfly-detector"),
        ("a.h5", "emc", "xrai"),
        ("a.h5", "dragonfly-detector", "dragonfly-detector"),
    ],
)
def test_the_target_follows_from_the_name(file, source, expected):
    assert target_format(file, source) == expected


def test_the_stack_is_found_or_asked_for(tmp_path):
    path = tmp_path / "stack.h5"
    with h5py.File(path, "w") as file:
        file["run/frames"] = np.ones((2, 3, 4), np.uint16)
        file["run/mask"] = np.eye(3, 4)
        file["run/labels"] = np.zeros(2)
    with open_source(path) as source:
        assert (source.patterns, source.known.shape) == (2, (3, 4))
        assert source.known.mask.sum() == 3
        assert source.notices == ["left out of the pattern file: run/labels"]
    with h5py.File(path, "r+") as file:
        file["dark"] = np.ones((2, 3, 4))
    with pytest.raises(FormatError, match=r"2 stacks of frames.*--dataset.*run/frames \(2, 3, 4\)"):
        open_source(path)
    with open_source(path, dataset="/run/frames") as source:
        assert source.known.mask.sum() == 3
    with pytest.raises(FormatError, match=r"no dataset run/frame; found dark"):
        open_source(path, dataset="run/frame")


def test_panels_lie_below_one_another(tmp_path):
    np.save(tmp_path / "panels.npy", np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5))
    with open_source(tmp_path / "panels.npy") as source:
        assert source.known.shape == (12, 5)
        assert source.read(1, 2).count.sum() == np.arange(60, 120).sum()


def test_an_npz_member_is_read_in_blocks_in_any_order(tmp_path):
    frames = np.arange(5 * 6).reshape(5, 2, 3)
    np.savez_compressed(tmp_path / "a.npz", patterns=frames, mask=np.eye(2, 3), labels=np.ones(5))
    with open_source(tmp_path / "a.npz") as source:
        for start, stop in ((0, 2), (2, 3), (1, 5), (0, 1)):
            assert source.read(start, stop).count.sum() == frames[start:stop].sum()
        assert source.known.mask.tolist() == [True, False, False, False, True, False]
        assert source.notices == ["left out of the pattern file: labels"]


def test_arrays_cut_short_or_in_another_order_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((3, 4, 5), np.int16))
    path.write_bytes(path.read_bytes()[:-2])
    with open_source(path) as source:
        assert source.read(0, 2).count.sum() == 40
        with pytest.raises(FormatError, match="ends before frame 3; the file is truncated"):
            source.read(2, 3)
    np.save(path, np.asfortranarray(np.ones((3, 4, 5))))
    with pytest.raises(FormatError, match="not a C-ordered numeric array"):
        open_source(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(FormatError, match=r"not a readable \.npy array"):
        open_source(path)
