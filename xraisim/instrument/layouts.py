"""Nominal panel layouts of real detectors, from module sizes, gaps and quadrant positions.

Nominal means rounded to pixels and without the modules' small tilts: an experiment's detector is
off by several pixels, and the apertures of some are motorised. Read the experiment's ``.geom`` file
(``detector.geometry_file``) for a measured layout. Points of the detector plane are complex
numbers, x + iy, so that a turn by 90° is a factor i; looking downstream, x runs to the left.
"""

from collections.abc import Callable

from xraisim.core.errors import ConfigError, did_you_mean
from xraisim.instrument.panels import Panel


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
    """Return the CSPAD's 32 sensors of 185 × 388 pixels of 109.92 µm around a 6 mm aperture.

    Hart et al. (2012), Proc. SPIE 8504, 85040C. Four quadrants, each turned by 90° from the last,
    of four pairs of sensors; quadrant and pair centres are rounded from refined geometry files of
    CXI. Simplified: the two long pixels (274.8 µm) in the middle of each row count as ordinary
    ones, which brings the sensor's ends 165 µm too close to its middle.
    """
    pixel, between = 0.10992, 213
    pairs = ((-210 - 212j, 1j), (214 - 205j, -1), (208 + 218j, -1j), (-213 + 195j, -1))
    panels = []
    for quadrant in range(4):
        turn = 1j**quadrant
        for pair, (offset, along) in enumerate(pairs):
            for sensor in range(2):
                centre = 436 + 397j + offset + (sensor - 0.5) * between * 1j * along
                name = f"q{quadrant}s{2 * pair + sensor}"
                shape = (185, 388)
                panels.append(_centred(name, shape, pixel, turn * centre * pixel, turn * along))
    return tuple(panels)


def epix10k2m() -> tuple[Panel, ...]:
    """Return the ePix10k-2M's 16 modules of 352 × 384 pixels of 100 µm around an 8 mm aperture.

    van Driel et al. (2020), J. Synchrotron Rad. 27, 608. Four quadrants, each turned by 90° from
    the last, of 2 × 2 modules; their centres are rounded from a geometry file of MFX that comes
    with OM (Mariani et al., 2016, J. Appl. Cryst. 49, 1073). Simplified: the wide pixels between a
    module's four chips count as ordinary ones.
    """
    pixel = 0.1
    panels = []
    for quadrant in range(4):
        turn = 1j**quadrant
        for module, offset in enumerate((211 - 205j, 211 + 205j, -211 - 205j, -211 + 205j)):
            centre = turn * (386 + 436j + offset) * pixel
            name = f"q{quadrant}m{module}"
            panels.append(_centred(name, (352, 384), pixel, centre, -1j * turn))
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
    """Return a JUNGFRAU-4M: 8 modules of 512 × 1024 pixels of 75 µm around an 11 mm aperture.

    Mozzanica et al. (2018), Synchrotron Radiat. News 31(6), 16; the windmill of two staggered
    columns is that of CXI, rounded from OM's example geometry. Simplified: the 2-pixel gaps between
    a module's chips are left out, the module stays centred; rows run upwards.
    """
    pixel = 0.075
    right = (587 - 757j, 587 - 207j, 452 + 343j, 452 + 893j)
    left = tuple(-centre for centre in reversed(right))
    return tuple(
        _centred(f"m{module}", (512, 1024), pixel, centre * pixel)
        for module, centre in enumerate(right + left)
    )


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
        hint = did_you_mean(name, known)
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
    return _panel(
        name, shape, pixel_mm, centre - 0.5 * pixel_mm * along * (columns + rows * 1j), along
    )
