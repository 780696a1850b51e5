"""Presets: a named beam and detector, so that a published setting is one word."""

import difflib
from dataclasses import dataclass

from xraisim.beam import Beam
from xraisim.core.errors import ConfigError
from xraisim.detector import Detector


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """A beam and a detector, with the source of their figures."""

    beam: Beam
    detector: Detector
    source: str


PRESETS = {
    "xrai2025": Instrument(
        beam=Beam(photon_energy_ev=4600.0, photons_per_pulse=1e13, focus_radius_um=0.5),
        detector=Detector(rows=128, columns=128, pixel_size_mm=100.0 / 128, distance_mm=200.0),
        source="Shenoy et al., Nature Communications 16:6812 (2025), 50S sets: 1e12 photons ×10",
    ),
    "dragonfly-default": Instrument(
        beam=Beam(photon_energy_ev=1999.74513, photons_per_pulse=1e11, focus_radius_um=0.5641896),
        detector=Detector(
            rows=150, columns=150, pixel_size_mm=0.512, distance_mm=300.0, beamstop_radius_mm=5.12
        ),
        source="Dragonfly's default simulation (Ayyer et al. 2016): 6.2 Å, 1e11 photons/µm²",
    ),
}


def preset(name: str) -> Instrument:
    """Return a preset; raises :class:`ConfigError` that names the nearest one."""
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(PRESETS)}"
    raise ConfigError(f"unknown instrument {name!r}; {hint}")
