"""Dragonfly's detector files against its published formulae, written out here."""

import h5py
import numpy as np
import pytest

from xraisim.core.errors import FormatError
from xraisim.files.patterns import PatternReader
from xraisim.files.texts import attribute
from xraisim.formats import dragonfly_detector as dragonfly
from xraisim.formats import recognise
from xraisim.formats.convert import convert
from xraisim.formats.experiment import ExperimentConfig

DISTANCE, WAVELENGTH, PIXEL = 30.0, 5.0, 0.4  # pixel sizes, Å, mm


def detector_file(path, polarisation="x", sign=1.0, norm=1.0, radius=DISTANCE):
    """7 × 9 pixels, x slow and y fast as Dragonfly's make_detector has them."""
    x, y = (a.ravel() for a in np.meshgrid(np.arange(7) - 3.0, np.arange(9) - 4.0, indexing="ij"))
    rho = np.sqrt(x**2 + y**2 + DISTANCE**2)
    factor = {
        "x": 1 - x**2 / rho**2,
        "y": 1 - y**2 / rho**2,
        "unpolarised": 1 - (x**2 + y**2) / 2 / rho**2,
    }[polarisation]
    mask = np.zeros(63, np.uint8)
    mask[0], mask[31] = 1, 2
    with h5py.File(path, "w") as file:
        file["qx"], file["qy"] = radius * x / rho, radius * y / rho
        file["qz"] = sign * radius * (DISTANCE / rho - 1)
        file["corr"] = norm * DISTANCE / rho**3 * factor
        file["mask"] = mask
        file["detd"], file["ewald_rad"] = DISTANCE, radius
        file["background"] = np.linspace(0, 1, 63)
    return x, y, rho, factor


@pytest.fixture
def photons(tmp_path):
    """Three frames that belong to the detector, as a stack of flat frames."""
    np.save(tmp_path / "photons.npy", np.random.default_rng(1).poisson(0.5, (3, 63)))
    return tmp_path / "photons.npy"


@pytest.mark.parametrize("polarisation", ["x", "y", "unpolarised"])
@pytest.mark.parametrize(("sign", "norm", "radius"), [(1, 1, 30.0), (-1, 1, 30.0), (1, 900, 45.0)])
def test_geometry_follows_from_the_published_formulae(
    polarisation, sign, norm, radius, photons, tmp_path
):
    x, y, rho, factor = detector_file(tmp_path / "det.h5", polarisation, sign, norm, radius)
    told = ExperimentConfig(
        particle_diameter_angstrom=50.0,
        beam={"photon_energy_ev": 12398.419843320026 / WAVELENGTH},
        detector={"pixel_size_mm": PIXEL},
    )
    convert(photons, tmp_path / "out.h5", config=told, detector=tmp_path / "det.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        found = {name: file[f"detector/{name}"][()] for name in file["detector"]}
        assert attribute(file["beam"], "polarisation") == polarisation
        assert file["detector"].attrs["shape"].tolist() == [7, 9]
    direction = np.stack([x / rho, y / rho, DISTANCE / rho - 1], -1)
    np.testing.assert_allclose(found["s"], direction / WAVELENGTH, atol=1e-7)
    place = np.stack([x, y, np.full(63, DISTANCE)], -1) * PIXEL
    np.testing.assert_allclose(found["position"], place, atol=1e-5)
    np.testing.assert_allclose(found["solid_angle"], DISTANCE / rho**3, rtol=1e-6)
    np.testing.assert_allclose(found["polarisation"], factor, rtol=1e-6)
    np.testing.assert_allclose(found["background"], np.linspace(0, 1, 63), atol=1e-7)
    assert np.flatnonzero(found["mask"]).tolist() == [31]  # 1 is measured all the same


def test_a_polarisation_of_another_kind_is_kept_pixel_by_pixel(tmp_path):
    _, _, rho, factor = detector_file(tmp_path / "det.h5")
    mixed = 0.7 * factor + 0.2
    with h5py.File(tmp_path / "det.h5", "r+") as file:
        file["corr"][...] = DISTANCE / rho**3 * mixed
    known = dragonfly.known(dragonfly.read_detector(tmp_path / "det.h5"))
    assert known.polarisation is None
    np.testing.assert_allclose(known.polarisation_factor, mixed / mixed.max(), rtol=1e-9)


def test_text_and_hdf5_detectors_become_one_another(tmp_path):
    detector_file(tmp_path / "det.h5")
    done = convert(tmp_path / "det.h5", tmp_path / "det.dat")
    assert done.notices == ("a .dat detector cannot hold the background",)
    assert recognise(tmp_path / "det.dat") == "dragonfly-detector"
    lines = (tmp_path / "det.dat").read_text().splitlines()
    assert [float(word) for word in lines[0].split()] == [63, DISTANCE, DISTANCE]
    assert len(lines) == 64
    assert [len(line.split()) for line in lines[1:]] == [5] * 63
    convert(tmp_path / "det.dat", tmp_path / "again.h5")
    one, other = (dragonfly.read_detector(tmp_path / n) for n in ("det.h5", "again.h5"))
    for name in ("q", "corr", "mask"):
        assert (getattr(one, name) == getattr(other, name)).all()
    assert (one.detd, one.ewald_rad) == (other.detd, other.ewald_rad)
    assert one.mask.tolist()[:32:31] == [1, 2]


def test_the_detector_of_a_pattern_file_can_be_written_alone(patterns, tmp_path):
    convert(patterns, tmp_path / "det.dat")
    with PatternReader(patterns) as reader:
        known = dragonfly.known(dragonfly.read_detector(tmp_path / "det.dat"))
        s = (known.direction - [0, 0, 1]) / reader.info["wavelength_angstrom"]
        np.testing.assert_allclose(s[reader.pixels.index], reader.pixels.s, atol=1e-7)
    with pytest.raises(FormatError, match=r"it can become \.dat or \.h5 only"):
        convert(tmp_path / "det.dat", tmp_path / "x.emc")


def test_a_detector_of_other_patterns_is_refused(patterns, photons, tmp_path):
    convert(patterns, tmp_path / "det.h5", target="dragonfly-detector")
    with pytest.raises(FormatError, match="holds its own detector"):
        convert(patterns, tmp_path / "out.emc", detector=tmp_path / "det.h5")
    with pytest.raises(FormatError, match="48 pixels, but the patterns have 63"):
        convert(photons, tmp_path / "out.h5", detector=tmp_path / "det.h5")


def test_damaged_detectors_are_refused(tmp_path):
    detector_file(tmp_path / "det.h5")
    with h5py.File(tmp_path / "det.h5", "r+") as file:
        del file["corr"]
    with pytest.raises(FormatError, match=r"not a readable Dragonfly detector file.*corr"):
        dragonfly.read_detector(tmp_path / "det.h5")
    (tmp_path / "det.dat").write_text("3 100 100\n0 0 0 1 0\n0 0 0 1 0\n")
    with pytest.raises(FormatError, match="3 pixels announced"):
        dragonfly.read_detector(tmp_path / "det.dat")


@pytest.mark.parametrize("keep", [60, 58])
def test_pixels_that_are_no_grid_have_no_shape(keep, tmp_path):
    detector_file(tmp_path / "det.h5")
    x, y = np.meshgrid(np.arange(7.0), np.arange(9.0), indexing="ij")
    step = np.stack([x.ravel(), y.ravel()], -1)
    assert dragonfly.grid_shape(step) == (7, 9)
    assert dragonfly.grid_shape(step[:keep]) is None
