"""Nominal panel layouts of real detectors, from module sizes, gaps and quadrant positions.

Nominal means: as drawn, not as measured. Real modules are off by up to a few pixels and the
apertures of several of these detectors are motorised; read the experiment's ``.geom`` file
(``detector.geometry_file``) for a measured one. Points of the detector plane are complex numbers,
x + iy in mm, so that a turn by 90° is a factor i. Looking downstream, x runs to the left.
"""

import difflib
from collections.abc import Callable

from xraisim.core.errors import ConfigError
from xraisim.panels import Panel


def pnccd() -> tuple[Panel, ...]:
    """Return the pnCCD's two halves of 512 × 1024 pixels of 75 µm, 4 mm apart.

    Strüder et al. (2010), Nucl. Instrum. Methods A 614, 483. The gap is adjustable; 4 mm is the
    default of EXtra-geom. Halves with a cut-out for the beam are not distinguished from whole ones.
    """
    half = 0.5 * (512 * 0.075 + 4.0)
    return tuple(
        _centred(name, (512, 1024), 0.075, centre)
        for name, centre in (("lower", -half * 1j), ("upper", half * 1j))
    )


def cspad() -> tuple[Panel, ...]:
    """Return the CSPAD's 32 sensors of 185 × 388 pixels of 109.92 µm around a 5 mm aperture.

    Hart et al. (2012), Proc. SPIE 8504, 85040C. Four quadrants round the aperture, each turned by
    90° from the last; in each, four pairs of sensors, alternately turned. Sensors of a pair lie 212
    pixels apart and pairs 424, close to the sensors' metrology. Simplified: the two long pixels
    (274.8 µm) in the middle of each row count as ordinary ones, which brings the sensor's ends
    165 µm too close to its middle.
    """
    pixel = 0.10992
    pairs = [212 * pixel * complex(x, y) for x, y in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
    panels = []
    for quadrant, (centre, turn) in enumerate(_pinwheel(848 * pixel, 5.0)):
        for pair, offset in enumerate(pairs):
            along = turn * 1j**pair
            for sensor, side in enumerate((-1, 1)):
                middle = centre + turn * offset + side * 106 * pixel * 1j * along
                name = f"q{quadrant}s{2 * pair + sensor}"
                panels.append(_centred(name, (185, 388), pixel, middle, along))
    return tuple(panels)


def epix10k2m() -> tuple[Panel, ...]:
    """Return the ePix10k-2M's 16 modules of 352 × 384 pixels of 100 µm around a 9 mm aperture.

    van Driel et al. (2020), J. Synchrotron Rad. 27, 608. Four quadrants of 2 × 2 modules round the
    aperture, each turned by 90° from the last; 40 mm from module to module and the aperture are
    nominal. Simplified: the wide pixels between a module's four chips count as ordinary ones.
    """
    panels = []
    for quadrant, (centre, turn) in enumerate(_pinwheel(80.0, 9.0)):
        for module, corner in enumerate((-1 - 1j, -1 + 1j, 1 - 1j, 1 + 1j)):
            name = f"q{quadrant}m{module}"
            panels.append(_centred(name, (352, 384), 0.1, centre + turn * 20 * corner, turn))
    return tuple(panels)


def agipd1m() -> tuple[Panel, ...]:
    """Return the AGIPD-1M's 16 modules of 512 × 128 pixels of 200 µm, a panel per 64 × 128 chip.

    Allahgholi et al. (2019), J. Synchrotron Rad. 26, 74. The quadrant corners and the gaps between
    chips (2 pixels) and modules (29 pixels) are those of EXtra-geom's example geometry; the beam
    passes between the quadrants. Simplified: the double-size pixels at the chips' edges, which fill
    the 2 pixels, count as ordinary ones.
    """
    pixel = 0.2
    panels = []
    for quadrant, corner in enumerate((-525 + 625j, -550 - 10j, 520 - 160j, 542.5 + 475j)):
        turn = 1 if quadrant < 2 else -1
        for module in range(4):
            for chip in range(8):
                first = corner - (128 + 29) * 1j * module + turn * (64 + 2) * chip
                name = f"m{4 * quadrant + module}a{chip}"
                panels.append(_panel(name, (64, 128), pixel, first * pixel, -1j * turn))
    return tuple(panels)


def jungfrau4m() -> tuple[Panel, ...]:
    """Return a JUNGFRAU-4M: 8 modules of 512 × 1024 pixels of 75 µm, 4 on each side of a 14 mm slit.

    Mozzanica et al. (2018), Synchrotron Radiat. News 31(6), 16; the arrangement (33 pixels between
    modules, 190 between the columns) is EXtra-geom's for SPB/SFX. Simplified: the 2-pixel gaps
    between a module's chips are left out, the module stays centred.
    """
    pixel, width, height = 0.075, 1030, 514
    panels = []
    for module in range(8):
        column, turn = (1, -1) if module < 4 else (-1, 1)
        step = 1.5 - module % 4 if module < 4 else module % 4 - 1.5
        centre = complex(column * (95 + width / 2), step * (height + 33))
        panels.append(_centred(f"m{module}", (512, 1024), pixel, centre * pixel, turn))
    return tuple(panels)


LAYOUTS: dict[str, Callable[[], tuple[Panel, ...]]] = {
    "pnccd": pnccd,
    "cspad": cspad,
    "epix10k2m": epix10k2m,
    "agipd1m": agipd1m,
    "jungfrau4m": jungfrau4m,
}


def check_layout(name: str) -> None:
    """Raise :class:`ConfigError` that names the nearest layout unless ``name`` is one."""
    known = ["flat", *LAYOUTS]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        raise ConfigError(f"detector.layout is {name!r}; {hint}")


def _panel(
    name: str, shape: tuple[int, int], pixel_mm: float, corner: complex, along: complex
) -> Panel:
    """Return a panel in the detector plane; columns run ``along`` (a unit), rows 90° on."""
    rows, columns = shape
    fs, ss = pixel_mm * along, pixel_mm * along * 1j
    return Panel(
        name=name,
        rows=rows,
        columns=columns,
        corner_mm=(corner.real, corner.imag, 0.0),
        fs_mm=(fs.real, fs.imag, 0.0),
        ss_mm=(ss.real, ss.imag, 0.0),
    )


def _centred(
    name: str, shape: tuple[int, int], pixel_mm: float, centre: complex, along: complex = 1
) -> Panel:
    rows, columns = shape
    return _panel(name, shape, pixel_mm, centre - 0.5 * pixel_mm * along * (columns + rows * 1j), along)


def _pinwheel(width_mm: float, aperture_mm: float) -> list[tuple[complex, complex]]:
    """Return centre and turn of four squares that leave a square aperture in the middle."""
    first = 0.5 * complex(width_mm - aperture_mm, width_mm + aperture_mm)
    return [(first * 1j**turn, 1j**turn) for turn in range(4)]
