"""dragonfly-spi reads what we write, and we read what it writes.

It needs MPI and GSL, and so lives in an environment of its own: set XRAI_DRAGONFLY_PYTHON to a
Python that can import it.
"""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

from xraisim.checks.validate import validate
from xraisim.files.patterns import PatternReader
from xraisim.formats import dragonfly_detector, recognise
from xraisim.formats.convert import convert
from xraisim.formats.experiment import ExperimentConfig

from .conftest import BEAM, frames_in

_ENVIRONMENT = {
    **os.environ,
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": "",
}


def _run(python: str, code: str, *arguments: str, cwd=None) -> str:
    done = subprocess.run(
        [python, "-c", code, *arguments],
        env=_ENVIRONMENT,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def dragonfly() -> str:
    """A Python that has dragonfly-spi."""
    python = os.environ.get("XRAI_DRAGONFLY_PYTHON", sys.executable)
    probe = [python, "-c", "import dragonfly; dragonfly.EMCReader, dragonfly.Detector"]
    if subprocess.run(probe, env=_ENVIRONMENT, capture_output=True, check=False).returncode:
        reason = (
            "NOT CHECKED against dragonfly-spi: it is not installed here; set "
            "XRAI_DRAGONFLY_PYTHON to a Python that has it"
        )
        warnings.filterwarnings("always", message=reason)
        warnings.warn(reason, stacklevel=1)
        pytest.skip(reason)
    return python


READ = """
import sys
import numpy as np
import dragonfly
photons, detector, out = sys.argv[1:]
det = dragonfly.Detector(detector)
reader = dragonfly.EMCReader(photons, det)
frames = [reader.get_frame(i, raw=True) for i in range(reader.num_frames)]
low = dragonfly.CDataset(photons, det)
np.savez(out, frames=np.array(frames), q=det.qvals, corr=det.corr, mask=det.raw_mask,
         cx=det.cx, cy=det.cy, detd=det.detd, ewald_rad=det.ewald_rad,
         num_data=low.num_data, num_pix=low.num_pix, ftype=low.ftype)
"""


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("emc", "sparse"),
        ("emc-int", "dense_integer"),
        ("emc-double", "dense_double"),
        ("dragonfly-h5", "sparse"),
    ],
)
def test_dragonfly_reads_ours(name, kind, dragonfly, patterns, frames, detector, tmp_path):
    done = convert(patterns, tmp_path / "photons.x", target=name)
    _run(dragonfly, READ, done.path, done.detector_path, str(tmp_path / "found.npz"))
    found = np.load(tmp_path / "found.npz")
    assert (found["frames"] == frames).all()
    assert (int(found["num_data"]), int(found["num_pix"]), str(found["ftype"])) == (11, 48, kind)
    # in voxels: 1/(λ·ewald_rad) each
    s = found["q"] / (BEAM.wavelength_angstrom * found["ewald_rad"])
    np.testing.assert_allclose(s, detector.s, atol=1e-7)
    np.testing.assert_allclose(found["cx"] * 9.0, detector.position_mm[:, 0], atol=1e-4)
    np.testing.assert_allclose(found["cy"] * 9.0, detector.position_mm[:, 1], atol=1e-4)
    assert (found["mask"] == np.where(detector.mask, 2, 0)).all()
    relative = detector.solid_angle_sr * detector.polarisation
    np.testing.assert_allclose(found["corr"], relative / relative.mean(), rtol=1e-6)


WRITE = """
import sys
import numpy as np
import dragonfly
frames = np.load(sys.argv[1])
with dragonfly.EMCWriter(sys.argv[2], frames.shape[1], hdf5=sys.argv[3] == "hdf5") as writer:
    for frame in frames:
        writer.write_frame(frame)
"""


@pytest.mark.parametrize(("layout", "name"), [("binary", "emc"), ("hdf5", "dragonfly-h5")])
def test_we_read_what_dragonfly_writes(layout, name, dragonfly, frames, tmp_path):
    np.save(tmp_path / "frames.npy", frames)
    out = tmp_path / "photons.emc"
    _run(dragonfly, WRITE, str(tmp_path / "frames.npy"), str(out), layout)
    assert recognise(out) == name
    assert (frames_in(out) == frames).all()


CONFIG = """
[parameters]
detd = 300
lambda = 6.2
detsize = 31
pixsize = 2.4
stoprad = 3
polarization = x
[make_detector]
out_detector_file = det.h5
[make_data]
num_data = 12
mean_count = 300
in_detector_file = make_detector:::out_detector_file
in_intensity_file = intensities.bin
out_photons_file = photons.emc
"""
SIMULATE = """
import numpy as np
import dragonfly
from dragonfly.utils import make_data, make_detector
axis = np.arange(47) - 23
r = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
np.exp(-r / 4).tofile("intensities.bin")
make_detector.make_detector("config.ini", yes=True)
make_data.make_data("config.ini", yes=True)
det = dragonfly.Detector("det.h5")
reader = dragonfly.EMCReader("photons.emc", det)
np.save("frames.npy", [reader.get_frame(i, raw=True) for i in range(reader.num_frames)])
"""


def test_a_simulation_of_dragonfly_imports(dragonfly, tmp_path):
    (tmp_path / "config.ini").write_text(CONFIG)
    _run(dragonfly, SIMULATE, cwd=tmp_path)
    told = ExperimentConfig(
        particle_diameter_angstrom=100.0,
        beam={"photon_energy_ev": 12398.419843320026 / 6.2},
        detector={"pixel_size_mm": 2.4},
    )
    out = tmp_path / "out.h5"
    done = convert(tmp_path / "photons.emc", out, config=told, detector=tmp_path / "det.h5")
    frames = np.load(tmp_path / "frames.npy")
    assert (done.patterns, done.photons) == (12, frames.sum())
    assert not [finding for finding in validate(out) if finding.problems]
    given = dragonfly_detector.read_detector(tmp_path / "det.h5")
    with PatternReader(out) as reader:
        assert reader.detector_shape == (31, 31)
        index = reader.pixels.index.numpy()
        assert (np.sort(index) == np.flatnonzero(given.mask < 2)).all()
        s = given.q[index] / (6.2 * given.ewald_rad)
        np.testing.assert_allclose(reader.pixels.s, s, atol=1e-7)
        block = reader.read_raw(0, 12)
        assert (block.totals() == frames.sum(1)).all()
