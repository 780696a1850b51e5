"""Presets: a named beam and detector, so that a published setting is one word.

Presets of real detectors are nominal: module sizes and gaps as drawn (``layouts``), a
photon energy and distance of a published experiment where ``source`` names one, and binning that
still samples the speckles of a 400 Å particle. Read the experiment's ``.geom`` for a measured
geometry, and give the fluence that was measured.
"""

from dataclasses import dataclass

import numpy as np

from xraisim.core.errors import ConfigError, did_you_mean
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, read_layout


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
    "lcls-pnccd": Instrument(
        beam=Beam(photon_energy_ev=1600.0, photons_per_pulse=1e12, focus_radius_um=0.75),
        detector=Detector(layout="pnccd", distance_mm=581.0, binning=4),
        source="Strüder et al., NIM A 614:483 (2010); energy, distance as in Reddy et al., "
        "Scientific Data 4:170079 (2017), PR772 at AMO; nominal fluence",
    ),
    "lcls-cspad": Instrument(
        beam=Beam(photon_energy_ev=7000.0, photons_per_pulse=1e12, focus_radius_um=0.05),
        detector=Detector(layout="cspad", distance_mm=300.0, binning=4),
        source="Hart et al., Proc. SPIE 8504:85040C (2012); focus of CXI as in Munke et al., "
        "Scientific Data 3:160064 (2016); nominal distance and fluence",
    ),
    "lcls-epix10k2m": Instrument(
        beam=Beam(photon_energy_ev=7000.0, photons_per_pulse=1e12, focus_radius_um=0.05),
        detector=Detector(layout="epix10k2m", distance_mm=300.0, binning=4),
        source="van Driel et al., J. Synchrotron Rad. 27:608 (2020); nominal beam and distance",
    ),
    "euxfel-agipd1m": Instrument(
        beam=Beam(photon_energy_ev=6000.0, photons_per_pulse=1e12, focus_radius_um=0.15),
        detector=Detector(layout="agipd1m", distance_mm=705.0, binning=4),
        source="Allahgholi et al., J. Synchrotron Rad. 26:74 (2019), layout of EXtra-geom; energy, "
        "distance as in Ayyer et al., Optica 8:15 (2021), SPB/SFX; nominal fluence",
    ),
    "jungfrau": Instrument(
        beam=Beam(photon_energy_ev=7000.0, photons_per_pulse=1e12, focus_radius_um=0.05),
        detector=Detector(layout="jungfrau4m", distance_mm=400.0, binning=8),
        source="Mozzanica et al., Synchrotron Radiat. News 31(6):16 (2018), arranged as at CXI; "
        "nominal beam and distance",
    ),
}


def preset(name: str) -> Instrument:
    """Return a preset; raises :class:`ConfigError` that names the nearest one."""
    if isinstance(name, str) and name in PRESETS:
        return PRESETS[name]
    hint = did_you_mean(str(name), PRESETS)
    raise ConfigError(f"unknown instrument {name!r}; {hint}")


def describe(detector: Detector) -> str:
    """Return panels, pixels, pixel size and distance in words, for a table."""
    read = read_layout(detector)
    binned = read.binned(detector.binning)
    pixel = float(np.sqrt(np.linalg.norm(read.panels[0].area_mm2)))
    rows, columns = read.panels[0].rows, read.panels[0].columns
    text = f"{rows} × {columns} pixels of {pixel:.4g} mm at {read.distance_mm:g} mm"
    if len(read.panels) > 1:
        text = f"{len(read.panels)} panels of {text}"
    if detector.binning > 1:
        text += f", binned {detector.binning} × {detector.binning} to {len(binned.bad):,} pixels"
    return text
