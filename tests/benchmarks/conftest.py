"""Synthetic records, so that tables and pages are tested without a run."""

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.record import Curve, PoseError, Record
from xraisim.core.fsc import Resolution
from xraisim.core.machine import Hardware

_S = (0.01, 0.03, 0.05)


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """Return a maker of records; ``icc`` and ``fsc`` are in Å, None for not resolved."""

    def make(*, icc: float | None = 20.0, fsc: float | None = 25.0, **changes: Any) -> Record:
        values: dict[str, Any] = {
            "task": "quick",
            "method": "xrai",
            "seed": 0,
            "date": "2026-01-01T00:00:00+00:00",
            "config_hash": "abc",
            "config": {"name": "quick", "summary": "A test of <tables>.", "xrai": {"heads": 8}},
            "versions": {"x-rai": "0.1.0", "torch": "2.13.0"},
            "hardware": Hardware(cpu="Test CPU", cores=2, memory_gib=8.0),
            "patterns": 8000,
            "photons_per_pattern": 5000.0,
            "seconds": {"simulate": 10.0, "reconstruct": 100.0, "phase": 20.0, "score": 5.0},
            "peak_gib": {"reconstruct": 1.5, "phase": 2.5, "score": 2.5},
            "patterns_per_s": 80.0,
            "resolutions": (
                Resolution(rule="icc_truth_0.5", angstrom=icc),
                Resolution(rule="fsc_truth_0.5", angstrom=fsc),
            ),
            "curves": (
                Curve(name="icc_truth", s_per_angstrom=_S, value=(0.9, 0.7, 0.3)),
                Curve(name="fsc_truth", s_per_angstrom=_S, value=(0.95, 0.6, 0.2)),
                Curve(name="prtf", s_per_angstrom=_S, value=(1.0, 0.8, 0.4)),
            ),
            "pose_error": PoseError(
                median_deg=1.2, p90_deg=5.0, median_modulo_mate_deg=1.0, p90_modulo_mate_deg=3.0
            ),
        }
        return Record(**(values | changes))

    return make
