"""Valid files with something wrong in them: read right, or refused by our own error.

Counts are never negative, fractional or cast to another number; pixels never lie where no detector
is. XRAI_LONG_CASES asks for more cases than the default run has.
"""

import os
import struct

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xraisim.core.errors import FormatError, UserError
from xraisim.formats import open_source
from xraisim.formats.counts import LARGEST, joined
from xraisim.formats.dragonfly_detector import known as known_of
from xraisim.formats.dragonfly_detector import read_detector
from xraisim.formats.experiment import ExperimentConfig, assemble
from xraisim.instrument.beam import Beam
from xraisim.instrument.crystfel import read_geometry
from xraisim.instrument.detector import scattering_vectors
from xraisim.instrument.ranges import DISTANCE, JOULE_PER_EV, PHOTON_ENERGY

FRAMES, ROWS, COLUMNS = 3, 4, 5
CASES = settings(
    max_examples=int(os.environ.get("XRAI_LONG_CASES", "50")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TOLD = ExperimentConfig(
    beam={"photon_energy_ev": 3000.0}, detector={"distance_mm": 100.0, "pixel_size_mm": 1.0}
)
NUMBERS = st.sampled_from(
    [0, 1, 2, 7, 255, 256, 65535, -1, -7, -999, 2**31 - 1, 2**31, 2**40, 0.5, -0.0, 1e-30, 1e30,
     np.nan, np.inf, -np.inf]
)  # fmt: skip
TYPES = st.sampled_from(
    ["<i4", ">i4", "<u2", ">i2", "u1", "i1", "<i8", "<u8", "<f4", ">f8", "<f2", "?", "<c8"]
)
SHAPES = st.sampled_from(
    [(FRAMES, ROWS, COLUMNS), (FRAMES, COLUMNS, ROWS), (FRAMES, 20), (FRAMES, 1, ROWS, COLUMNS),
     (0, ROWS, COLUMNS), (FRAMES, 0, COLUMNS), (FRAMES,), (), (1, ROWS, COLUMNS)]
)  # fmt: skip


@st.composite
def stacks(draw) -> np.ndarray:
    """Frames of any type and shape, with any number somewhere."""
    shape, kind, value = draw(SHAPES), draw(TYPES), draw(NUMBERS)
    frames = np.full(shape, draw(st.integers(0, 3)), np.dtype(kind))
    if frames.size:
        with np.errstate(all="ignore"):
            at = draw(st.integers(0, frames.size - 1))
            frames.reshape(-1)[at] = np.array(value).astype(frames.dtype)
    return frames


def read_or_refuse(path, frames: np.ndarray | None = None) -> None:
    """Open and read a file; what is read must be counts, and those of ``frames`` if given."""
    try:
        with open_source(path) as source:
            photons = source.read(0, source.patterns)
            known = source.known
    except UserError:
        return
    assert photons.count.dtype == np.int32
    assert (photons.count >= 1).all()
    assert ((photons.pixel >= 0) & (photons.pixel < known.pixels)).all()
    if frames is not None:
        found = np.zeros((source.patterns, known.pixels))
        found[photons.rows(), photons.pixel] = photons.count
        assert (found == frames.reshape(found.shape)).all()
    try:
        detector = assemble(known, TOLD).detector
    except UserError:
        return
    good = detector.good
    place = detector.position_mm[good]
    assert np.isfinite(place).all()
    assert (place[:, 2] > 0).all()
    assert DISTANCE.lowest <= np.median(place[:, 2]) <= DISTANCE.highest
    assert (detector.gain[good] > 0).all()
    assert np.isfinite(detector.gain[good]).all()


@CASES
@given(frames=stacks(), kind=st.sampled_from(["npy", "npz", "h5", "cxi"]))
def test_stacks_with_any_number_of_any_type(tmp_path, frames, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "npy":
        np.save(path, frames)
    elif kind == "npz":
        np.savez(path, frames=frames)
    else:
        with h5py.File(path, "w") as file:
            file["entry_1/data_1/data" if kind == "cxi" else "frames"] = frames
    read_or_refuse(path, frames)


def plain_cxi(file: h5py.File) -> None:
    """A whole CXI file of one detector."""
    detector = file.create_group("entry_1/instrument_1/detector_1")
    file["entry_1/data_1/data"] = np.ones((FRAMES, ROWS, COLUMNS), np.int32)
    file["entry_1/data_1/mask"] = np.zeros((ROWS, COLUMNS), np.uint32)
    file["entry_1/instrument_1/source_1/energy"] = 3000 * JOULE_PER_EV
    detector["distance"], detector["x_pixel_size"], detector["y_pixel_size"] = 0.2, 1e-3, 1e-3
    detector["corner_position"] = np.array([2e-3, 2e-3, 0.2])
    detector["basis_vectors"] = np.array([[0, -1e-3, 0], [-1e-3, 0, 0]])
    detector["xyz_map"] = np.full((3, ROWS, COLUMNS), 0.2)


def plain_skopi(file: h5py.File) -> None:
    """A whole skopi file of one panel."""
    y, x = np.indices((ROWS, COLUMNS)) - 1.7
    place = np.stack([x, y, np.full(x.shape, 50.0)], -1)[None]
    out = place / np.linalg.norm(place, axis=-1, keepdims=True)
    file["photons"] = np.ones((FRAMES, 1, ROWS, COLUMNS), np.int32)
    file["pixel_position_reciprocal"] = 3e9 * (out - [0, 0, 1.0])
    file["solid_angle"] = file["polarization"] = np.ones((1, ROWS, COLUMNS))
    file["mask"] = np.zeros((1, ROWS, COLUMNS), np.uint8)


def plain_dragonfly(file: h5py.File) -> None:
    """A whole file of Dragonfly's photons."""
    file["num_pix"] = np.array([20], np.int32)
    for name, values in (("place_ones", [1, 5]), ("place_multi", [3]), ("count_multi", [4])):
        rows = file.create_dataset(name, (FRAMES,), h5py.vlen_dtype(np.int32))
        for frame in range(FRAMES):
            rows[frame] = np.array(values, np.int32)


PLAIN = {"cxi": plain_cxi, "skopi": plain_skopi, "dragonfly": plain_dragonfly}


def damage(file: h5py.File, data: st.DataObject) -> None:
    """Change a value, the type, the shape or the unit of one of the data sets, or take it out."""
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if hasattr(item, "dtype") else None)
    name = data.draw(st.sampled_from(sorted(names)))
    values = file[name][()]
    how = data.draw(st.sampled_from(["value", "type", "shape", "unit", "none"]))
    if how == "unit":
        file[name].attrs["units"] = data.draw(st.sampled_from(["eV", "mm", "m", "J", "", "X"]))
        return
    del file[name]
    if how == "none" or values.dtype.kind == "O":
        if how != "none":
            rows = file.create_dataset(name, (FRAMES,), h5py.vlen_dtype(np.int32))
            for frame in range(FRAMES):
                rows[frame] = np.array(data.draw(st.lists(st.integers(-2, 25), max_size=3)), "i4")
        return
    values = np.array(values)
    if how == "type":
        with np.errstate(all="ignore"):
            values = values.astype(data.draw(st.sampled_from(["<f8", ">i2", "<c8", "S4", "<u8"])))
    elif how == "shape":
        values = data.draw(
            st.sampled_from([values.ravel(), values[..., None], values.T, values.ravel()[:1]])
        )
    else:
        values = values.astype(float)
        values.reshape(-1)[data.draw(st.integers(0, values.size - 1))] = data.draw(NUMBERS)
    file[name] = values


@pytest.mark.filterwarnings("ignore:Casting complex")
@CASES
@given(kind=st.sampled_from(sorted(PLAIN)), data=st.data())
def test_files_with_something_wrong_are_read_right_or_refused(tmp_path, kind, data):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        PLAIN[kind](file)
        damage(file, data)
    read_or_refuse(path)


@CASES
@given(kind=st.integers(-1, 3), words=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=12))
def test_emc_bodies_of_any_numbers(tmp_path, kind, words):
    path = tmp_path / "a.emc"
    header = struct.pack("<256i", 2, 6, kind, *[0] * 253)
    path.write_bytes(header + struct.pack(f"<{len(words)}i", *words))
    read_or_refuse(path)


@pytest.mark.parametrize("count", [0, -7])
def test_emc_counts_below_one_are_refused(tmp_path, count):
    path = tmp_path / "a.emc"
    body = struct.pack("<4i", 0, 1, 2, count)  # one frame: no ones, one multi, its place and count
    path.write_bytes(struct.pack("<256i", 1, 6, 0, *[0] * 253) + body)
    with open_source(path) as source, pytest.raises(FormatError, match=f"counts run from {count}"):
        source.read(0, 1)


def test_counts_of_a_pixel_that_do_not_fit_are_refused():
    rows, pixel = np.zeros(2, int), np.array([3, 3])
    photons = joined(rows, pixel, np.array([LARGEST, 1]), 1, 6, "a")
    with pytest.raises(FormatError, match="more than an int32 holds"):
        photons.summed()
    with pytest.raises(FormatError, match="counts of type float64"):
        joined(rows, pixel, np.array([1.5, 1]), 1, 6, "a")


@CASES
@given(
    name=st.sampled_from(["qx", "qz", "corr", "mask", "detd", "ewald_rad", "background"]),
    value=NUMBERS,
    at=st.integers(0, 19),
)
def test_dragonfly_detectors_with_any_number(tmp_path, name, value, at):
    x, y = (a.ravel() - 1.7 for a in np.indices((ROWS, COLUMNS)))
    rho = np.sqrt(x**2 + y**2 + 50**2)
    arrays = {"qx": 50 * x / rho, "qy": 50 * y / rho, "qz": 50 * (50 / rho - 1)}
    arrays |= {"corr": 50 / rho**3, "mask": np.zeros(20), "background": np.full(20, 0.1)}
    scalars = {"detd": 50.0, "ewald_rad": 50.0}
    if name in scalars:
        scalars[name] = float(value)
    else:
        arrays[name][at] = value
    with h5py.File(tmp_path / "det.h5", "w") as file:
        for key, values in (arrays | scalars).items():
            file[key] = values
    try:
        known = known_of(read_detector(tmp_path / "det.h5"))
    except FormatError:
        return
    assert known.mask[at] == (name == "mask" and value > 1)
    for values in (known.direction, known.solid_angle_sr, known.polarisation_factor):
        assert np.isfinite(values).all()
    assert (known.direction[:, 2] > 0).all()
    assert (known.background >= 0).all()


GEOM = {
    "clen": "0.1", "res": "10000", "p0/min_fs": "0", "p0/max_fs": "4", "p0/min_ss": "0",
    "p0/max_ss": "3", "p0/corner_x": "-2", "p0/corner_y": "1", "p0/fs": "x", "p0/ss": "-y",
}  # fmt: skip


@CASES
@given(
    key=st.sampled_from(sorted(GEOM)),
    text=st.sampled_from(
        ["", "0", "-3", "nan", "inf", "1e9", "x y", "++x", "=", "/a", "5 mm", "2.5", "7", "0x", "µ"]
    ),
)
def test_crystfel_files_with_any_value(tmp_path, key, text):
    path = tmp_path / "a.geom"
    path.write_text("".join(f"{k} = {v}\n" for k, v in (GEOM | {key: text}).items()))
    try:
        layout = read_geometry(path, 100.0)
    except UserError:
        return
    place = layout.positions_mm()
    assert np.isfinite(place).all()
    assert (place[:, 2] > 0).all()
    assert np.isfinite(scattering_vectors(place, Beam().wavelength_angstrom)).all()
    assert len(place) == len(layout.bad) == (layout.framed(layout.bad, True) == layout.bad).sum()


def test_the_energy_of_what_is_read_is_plausible():
    with pytest.raises(UserError, match="photon energy"):
        Beam(photon_energy_ev=PHOTON_ENERGY.highest * 1.01)
