"""Measured patterns import, validate and plot, where they are at hand."""

from itertools import pairwise

import h5py
import numpy as np
import pytest

from xraisim.checks.validate import validate
from xraisim.files.patterns import PatternReader
from xraisim.formats.convert import convert
from xraisim.formats.experiment import ExperimentConfig
from xraisim.inspection.inspect import inspect


def test_measured_patterns_import_validate_and_plot(measured, tmp_path):
    told = ExperimentConfig(
        particle_diameter_angstrom=600.0,
        beam={"photon_energy_ev": 12398.419843320026 / 7.75, "polarisation": "unpolarised"},
        detector={"distance_mm": 586.0, "pixel_size_mm": 0.6},
    )
    out = tmp_path / "out.h5"
    done = convert(measured, out, config=told)
    assert "left out of the pattern file: labels" in done.notices
    # measured: a few pixels do look hot, which is a warning
    failed = [f.name for f in validate(out) if f.problems and f.severity == "error"]
    assert not failed
    with h5py.File(measured) as file:
        frames, mask = file["patterns"][()], file["mask"][()] != 0
    assert done.patterns == len(frames)
    assert done.photons == frames[:, ~mask].sum()
    assert done.masked_photons == frames[:, mask].sum()
    figures = inspect(out, tmp_path / "out.png")
    assert figures.patterns == 50
    assert figures.usable_pixels == (~mask).sum()
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    # A sphere's first minimum, s = 1.43/D (4.493 = π s D), is where its 60 nm put it.
    with PatternReader(out) as reader:
        mean = frames.mean(0).ravel()[reader.pixels.index]
        radius = reader.pixels.radius.numpy()
    shells = np.linspace(0.0012, 0.0032, 21)
    radial = [mean[(radius >= a) & (radius < b)].mean() for a, b in pairwise(shells)]
    falling = np.diff(radial) < 0
    first_minimum = shells[int(np.argmin(falling))] + 5e-5
    assert 1.43 / first_minimum == pytest.approx(600.0, rel=0.1)
