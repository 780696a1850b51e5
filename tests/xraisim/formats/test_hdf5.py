"""Virtual data sets without their sources, links that lead nowhere, and masks of stacks."""

import h5py
import numpy as np
import pytest

from xraisim.core.errors import FormatError, SamplingError
from xraisim.formats import hdf5, open_source, stack
from xraisim.formats.convert import convert
from xraisim.formats.counts import dense
from xraisim.formats.experiment import ExperimentConfig

MODULES, FRAMES, MODULE = 3, 4, (2, 5)
STACK = "entry_1/data_1/data"


@pytest.fixture(params=["h5", "cxi", "skopi"])
def virtual(request, tmp_path):
    """A virtual stack of three modules in files of two segments, in each of three formats."""
    rng = np.random.default_rng(3)
    frames = rng.integers(1, 4, (FRAMES, MODULES, *MODULE)).astype(np.int32)
    layout = h5py.VirtualLayout(frames.shape, np.int32)
    for module in range(MODULES):
        for segment, part in enumerate((slice(0, 3), slice(3, 4))):
            name = f"m{module}-s{segment}.h5"
            with h5py.File(tmp_path / name, "w") as file:
                file["d"] = frames[part, module]
            layout[part, module] = h5py.VirtualSource(name, "d", frames[part, module].shape)
    path = tmp_path / "all.h5"
    with h5py.File(path, "w") as file:
        if request.param == "skopi":
            place = (
                np.stack(np.meshgrid(*map(np.arange, frames.shape[1:]), indexing="ij"), -1) - 2.0
            )
            place[..., 2] = 50
            out = place / np.linalg.norm(place, axis=-1, keepdims=True)
            file["pixel_position_reciprocal"] = 3e9 * (out - [0, 0, 1.0])
        file.create_virtual_dataset(
            {"h5": "frames", "cxi": STACK, "skopi": "photons"}[request.param], layout, fillvalue=0
        )
    return path, frames.reshape(FRAMES, -1)


def test_a_virtual_stack_with_all_its_sources_is_read(virtual):
    path, frames = virtual
    with open_source(path) as source:
        np.testing.assert_array_equal(dense(source.read(0, FRAMES), frames.shape[1]), frames)
        assert source.known.mask is None


def test_missing_sources_are_named_or_masked(virtual, tmp_path):
    path, frames = virtual
    (tmp_path / "m1-s0.h5").unlink()
    with pytest.raises(FormatError, match=r"1 of its sources missing: m1-s0\.h5; 10 pixels"):
        open_source(path)
    with open_source(path, mask_missing=True) as source:
        assert np.flatnonzero(source.known.mask).tolist() == list(range(10, 20))
        assert "m1-s0.h5" in " ".join(source.notices)
        read = dense(source.read(0, FRAMES), frames.shape[1])
    np.testing.assert_array_equal(read[:, :10], frames[:, :10])
    np.testing.assert_array_equal(read[:, 20:], frames[:, 20:])


@pytest.mark.parametrize("damage", ["other data set", "too short", "no HDF5"])
def test_sources_that_do_not_hold_the_frames_are_missing(virtual, tmp_path, damage):
    source = tmp_path / "m2-s1.h5"
    source.unlink()
    if damage == "no HDF5":
        source.write_bytes(b"nothing")
    else:
        with h5py.File(source, "w") as file:
            name, frames = ("e", 1) if damage == "other data set" else ("d", 0)
            file[name] = np.ones((frames, *MODULE), np.int32)
    with pytest.raises(FormatError, match=r"m2-s1\.h5"):
        open_source(virtual[0])


def test_a_conversion_masks_missing_modules_where_that_is_asked(virtual, tmp_path):
    path, frames = virtual
    (tmp_path / "m0-s1.h5").unlink()
    told = ExperimentConfig(
        particle_diameter_angstrom=100.0,
        beam={"photon_energy_ev": 2000.0},
        detector={"distance_mm": 50.0, "pixel_size_mm": 1.5, "rows": 6, "columns": 5},
        mask_missing_modules=True,
    )
    done = convert(path, tmp_path / "out.h5", config=told)
    assert done.photons == frames[:, 10:].sum()
    for module in range(MODULES):
        (tmp_path / f"m{module}-s0.h5").unlink()
    with pytest.raises(SamplingError, match="all 30 pixels are masked"):
        convert(path, tmp_path / "none.h5", config=told)


def test_frames_that_no_source_covers_are_no_measurement(tmp_path):
    layout = h5py.VirtualLayout((4, 3, 5), np.int32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["d"] = np.ones((3, 3, 5), np.int32)
    layout[:3] = h5py.VirtualSource("a.h5", "d", (3, 3, 5))
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_virtual_dataset("frames", layout, fillvalue=0)
    with pytest.raises(FormatError, match="leaves 15 pixels without a source"):
        open_source(tmp_path / "v.h5")


def test_interleaved_and_growing_sources_are_followed(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", data=np.ones((3, 2, 5), np.int32), maxshape=(None, 2, 5))
    endless = h5py.h5s.UNLIMITED
    layout = h5py.VirtualLayout((6, 2, 5), np.int32, maxshape=(None, 2, 5))
    source = h5py.VirtualSource("a.h5", "d", (3, 2, 5), maxshape=(None, 2, 5))
    layout[0:endless:2] = source[0:endless]
    layout[1:endless:2] = source[0:endless]
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_virtual_dataset("frames", layout, fillvalue=0)
    with open_source(tmp_path / "v.h5") as opened:
        assert opened.read(0, 6).count.sum() == 60


def test_links_that_lead_nowhere_are_errors(tmp_path):
    path = tmp_path / "a.cxi"
    with h5py.File(path, "w") as file:
        file[STACK] = np.ones((2, 3, 4), np.int32)
        file["entry_1/data_1/mask"] = h5py.ExternalLink("masks.h5", "/mask")
    with pytest.raises(FormatError, match=r"a link to /mask in the file masks\.h5, which is not"):
        open_source(path)
    with h5py.File(tmp_path / "masks.h5", "w") as file:
        file["mask"] = np.eye(3, 4, dtype=np.uint32)
    with open_source(path) as source:
        assert source.known.mask.sum() == 3


def test_a_stack_behind_a_link_can_be_named(tmp_path):
    with h5py.File(tmp_path / "far.h5", "w") as file:
        file["d"] = np.ones((2, 3, 4), np.int32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"] = h5py.ExternalLink("far.h5", "/d")
    with open_source(tmp_path / "a.h5", dataset="frames") as source:
        assert source.read(0, 2).count.sum() == 24


def test_a_source_of_a_source_is_looked_for(tmp_path):
    inner = h5py.VirtualLayout((2, 3, 4), np.int32)
    inner[:] = h5py.VirtualSource("gone.h5", "d", (2, 3, 4))
    outer = h5py.VirtualLayout((2, 3, 4), np.int32)
    outer[:] = h5py.VirtualSource("inner.h5", "d", (2, 3, 4))
    for name, layout in (("inner.h5", inner), ("outer.h5", outer)):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_virtual_dataset("d", layout, fillvalue=0)
    with h5py.File(tmp_path / "outer.h5") as file:
        assert hdf5.gaps(file["d"], (3, 4)).files == ("d in inner.h5 (gone.h5)",)


@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_what_is_masked_in_some_frames_is_masked_in_all(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(stack, "_MASK_VALUES", 25)  # two frames at a time
    frames = np.arange(60).reshape(5, 3, 4)
    mask = np.zeros(frames.shape, np.uint8)
    mask[:, 1, 1], mask[3, 2, 0] = 1, 7
    path = tmp_path / f"stack.{suffix}"
    if suffix == "npz":
        np.savez(path, patterns=frames, mask=mask)
    else:
        with h5py.File(path, "w") as file:
            file["run/frames"], file["run/mask"] = frames, mask
    with open_source(path) as source:
        assert np.flatnonzero(source.known.mask).tolist() == [5, 8]
        assert source.notices == ["1 pixels are masked in some frames only; they are masked in all"]
        assert dense(source.read(0, 5), 12).tolist() == frames.reshape(5, 12).tolist()
