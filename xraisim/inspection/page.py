"""One self-contained HTML page about a pattern file: pictures, figures with units, provenance."""

from pathlib import Path

from xraisim.core.json_text import to_json
from xraisim.files.atomic import whole_file
from xraisim.files.patterns import PatternReader
from xraisim.html_page import embed, render
from xraisim.inspection import figure as inspection_figure
from xraisim.inspection.image import Assembly
from xraisim.inspection.sampling import PatternSample
from xraisim.inspection.summary import Inspection


def write_page(
    path: Path,
    figures: Inspection,
    reader: PatternReader,
    taken: PatternSample,
    assembly: Assembly,
) -> None:
    """Write the page, whole or not at all; every picture is embedded."""
    counted, profile = inspection_figure.statistics(reader, taken)
    provenance = reader.info["provenance"]
    page = render(
        "xraisim/inspection/page.html.j2",
        figures=figures,
        rows=_rows(figures),
        detector=_detector(figures, assembly),
        patterns=embed(inspection_figure.patterns(reader, taken, assembly), "png"),
        mean=embed(inspection_figure.mean(reader, taken, assembly), "png"),
        histogram=embed(counted, "svg"),
        profile=embed(profile, "svg"),
        config=str(provenance.get("config", "")),
        provenance=[(key, _text(provenance[key])) for key in sorted(provenance) if key != "config"],
    )
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _rows(figures: Inspection) -> list[tuple[str, str]]:
    low, high = figures.photons_per_pattern_range
    return [
        ("patterns", f"{figures.patterns:,}"),
        ("looked at", f"{figures.patterns_looked_at:,}, evenly from the whole file"),
        (
            "photons per pattern",
            f"{figures.photons_per_pattern_mean:,.4g} ± {figures.photons_per_pattern_std:,.3g}, "
            f"from {low:,.0f} to {high:,.0f}",
        ),
        ("background stated", f"{figures.background_per_pattern:,.4g} photons per pattern"),
        ("empty patterns", f"{figures.empty_patterns:,}"),
        ("brightest pixel", f"{figures.brightest_pixel_photons:,} photons in one pattern"),
        ("size on disk", f"{figures.bytes_per_photon:.3g} bytes per photon"),
    ]


def _detector(figures: Inspection, assembly: Assembly) -> list[tuple[str, str]]:
    coarse, fine = figures.resolution_angstrom
    rows, columns = figures.detector_shape
    left, right, bottom, top = assembly.extent
    return [
        ("photon energy", f"{figures.photon_energy_ev:,.6g} eV"),
        ("fluence on the particle", f"{figures.fluence_photons_per_um2:.4g} photons/µm²"),
        ("particle diameter", f"{figures.particle_diameter_angstrom:.4g} Å"),
        ("pixels", f"{rows} × {columns} stored, {figures.usable_pixels:,} usable"),
        ("extent", f"{right - left:.4g} mm × {top - bottom:.4g} mm"),
        ("resolution", f"{coarse:.4g} Å to {fine:.4g} Å"),
    ]


def _text(value: object) -> str:
    return to_json(value) if isinstance(value, dict) else str(value)
