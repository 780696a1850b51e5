"""The figures of a pattern file: what is in it, from a sample of its patterns."""

from dataclasses import dataclass

from xraisim.files.patterns import PatternReader
from xraisim.inspection.sampling import PatternSample


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What ``xrai-sim inspect`` prints; photon statistics are of ``patterns_looked_at`` patterns.

    Photons per pattern are those of usable pixels. ``photons_per_pattern_range``: the fewest and
    the most. ``background_per_pattern``: the mean that the file states.
    """

    path: str
    patterns: int
    patterns_looked_at: int
    detector_shape: tuple[int, int]
    usable_pixels: int
    photon_energy_ev: float
    fluence_photons_per_um2: float
    particle_diameter_angstrom: float
    resolution_angstrom: tuple[float, float]
    photons_per_pattern_mean: float
    photons_per_pattern_std: float
    photons_per_pattern_range: tuple[float, float]
    background_per_pattern: float
    empty_patterns: int
    brightest_pixel_photons: int
    bytes_per_photon: float
    structure: str


def summarise(reader: PatternReader, taken: PatternSample) -> Inspection:
    """Return the figures of an open file."""
    totals = taken.totals
    photons = max(float(taken.mean.sum()) * reader.n_patterns, 1.0)
    radius = reader.pixels.radius
    outer, inner = float(radius[-1]), float(radius[0])
    return Inspection(
        path=str(reader.path),
        patterns=reader.n_patterns,
        patterns_looked_at=taken.looked_at,
        detector_shape=reader.detector_shape,
        usable_pixels=len(reader.pixels),
        photon_energy_ev=reader.info["photon_energy_ev"],
        fluence_photons_per_um2=reader.info["fluence_photons_per_um2"],
        particle_diameter_angstrom=reader.info["particle_diameter_angstrom"],
        resolution_angstrom=(1 / inner if inner > 0 else float("inf"), 1 / outer),
        photons_per_pattern_mean=float(totals.mean()),
        photons_per_pattern_std=float(totals.std()),
        photons_per_pattern_range=(float(totals.min()), float(totals.max())),
        background_per_pattern=float(reader.pixels.background.sum()),
        empty_patterns=int((totals == 0).sum()),
        brightest_pixel_photons=taken.brightest,
        bytes_per_photon=reader.path.stat().st_size / photons,
        structure=str(reader.info["provenance"].get("structure", "")),
    )
