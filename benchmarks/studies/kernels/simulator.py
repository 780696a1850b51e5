"""Cases of the simulator: the draw and its tables, structure factors, bodies, solvent."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

from benchmarks.studies.kernels.cases import Pair, timed
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, geometry
from xraisim.photons.draw import PhotonSampler
from xraisim.photons.expected import ExpectedPhotons
from xraisim.photons.kernels.lookup import upper_bounds
from xraisim.photons.lookup import round_to_bfloat16
from xraisim.photons.shots import ShotRecipe, draw_shots
from xraisim.sample.kernels.solvent import mark_balls, shrink
from xraisim.sample.shapes import Body, polyhedron_transform
from xraisim.scattering.intensity import intensity_spline, sharpening_taps
from xraisim.scattering.kernels.intensity import filter_rows, friedel_intensities
from xraisim.scattering.kernels.structure_factor import add_weighted, direct_sum

_PHOTONS = "xraisim.photons.kernels"
_SAMPLE = "xraisim.sample.kernels"
_SCATTERING = "xraisim.scattering.kernels"


def _random() -> np.random.Generator:
    return np.random.default_rng(0)


def _drawn(number: int, background: float, signal: float) -> Pair:
    """Return the mean photons of shots of a cube; the plain form draws every pixel."""
    beam = Beam()
    body = Body(shape="cube", size_angstrom=150.0, electrons_per_angstrom3=0.4)
    seen = geometry(Detector(), beam)
    volume = intensity_spline(body, seen.s_max, None)
    expected = ExpectedPhotons([volume], seen, background=background)
    sampler = PhotonSampler(expected, seed=0)
    shots = draw_shots(ShotRecipe(), 0, 0, number)
    shots.weight[:] *= signal
    poisson = np.random.default_rng(0).poisson
    return Pair(
        fast=lambda: sampler.draw(shots, 0),
        reference=lambda: poisson(expected.of(shots)).sum(1).mean(),
        read=lambda photons: photons.totals().mean(),
        tolerance=0.1,
    )


@timed(
    "xraisim.photons.draw._draw_batches", f"{_PHOTONS}.rows.merged_lengths",
    f"{_PHOTONS}.rows.merge_rows", size=128, tiny=8,
)  # fmt: skip
def photons(number: int) -> Pair:
    """Draw shots of a particle."""
    return _drawn(number, background=0.0, signal=1.0)


@timed(f"{_PHOTONS}.additions.draw_addition", size=128, tiny=8)
def photons_of_background(number: int) -> Pair:
    """Draw shots of background alone."""
    return _drawn(number, background=0.05, signal=0.0)


def _coefficients(grid: int) -> np.ndarray:
    return round_to_bfloat16(_random().normal(size=(grid,) * 3).astype(np.float32))


@timed(f"{_PHOTONS}.lookup.upper_bounds", size=151, tiny=9)
def bounds(grid: int) -> Pair:
    """Return the bounds of blocks and shells; no array form makes the shells' in few lines."""
    coefficients = _coefficients(grid)
    return Pair(fast=lambda: upper_bounds(coefficients), reference=None)


@timed(f"{_SCATTERING}.intensity.filter_rows", size=151, tiny=13)
def sharpening(grid: int) -> Pair:
    """Filter a volume along its middle axis."""
    volume, taps = _coefficients(grid), sharpening_taps(3.0)
    reach = len(taps) - 1

    def fast(values: np.ndarray) -> np.ndarray:
        filter_rows(values, taps)
        return values

    def plain(values: np.ndarray) -> np.ndarray:
        found = ndimage.correlate1d(values, np.concatenate([taps[:0:-1], taps]), axis=1)
        values[:, reach:-reach] = found[:, reach:-reach]
        return values

    return Pair(fast=fast, reference=plain, arguments=lambda: (volume.copy(),))


@timed(f"{_SCATTERING}.intensity.friedel_intensities", size=201, tiny=7)
def friedel(edge: int) -> Pair:
    """Return |A + iB|² and |A − iB|² on a slab."""
    shape = edge, edge, edge
    A, B = (_complex(shape, seed) for seed in (0, 1))

    def fast(plus: np.ndarray, minus: np.ndarray) -> list[np.ndarray]:
        friedel_intensities(A, B, plus, minus, 0, 2 * edge)
        return [plus, minus]

    def plain(plus: np.ndarray, minus: np.ndarray) -> list[np.ndarray]:
        plus[:], minus[:] = np.abs(A + 1j * B) ** 2, np.abs(A - 1j * B) ** 2
        return [plus, minus]

    return Pair(
        fast=fast, reference=plain, arguments=lambda: tuple(np.zeros((2, *shape), np.float32))
    )


def _complex(shape: tuple[int, ...], seed: int) -> np.ndarray:
    parts = np.random.default_rng(seed).normal(size=(*shape, 2)).astype(np.float32)
    return parts.view(np.complex64)[..., 0]


@timed(f"{_SCATTERING}.structure_factor.add_weighted", size=201, tiny=7)
def radial_weight(edge: int) -> Pair:
    """Add an amplitude times a radial function on a slab."""
    shape = edge, edge, edge
    part, table = _complex(shape, 0), np.exp(-np.linspace(0, 4, 4096)).astype(np.float32)
    step = (len(table) - 1) / (3 * edge**2)

    def fast(out: np.ndarray) -> np.ndarray:
        add_weighted(out, part, table, step, 0)
        return out

    def plain(out: np.ndarray) -> np.ndarray:
        along, across = np.arange(edge) ** 2, (np.arange(edge) - edge // 2) ** 2
        squared = along[:, None, None] + across[:, None] + across
        weight = np.interp(squared * step, np.arange(len(table)), table)
        out += part * weight.astype(np.float32)
        return out

    return Pair(fast=fast, reference=plain, arguments=lambda: (np.zeros(shape, np.complex64),))


@timed(f"{_SCATTERING}.structure_factor.direct_sum", size=1000, tiny=5)
def atoms_one_by_one(number: int) -> Pair:
    """Return F at 1,000 points as a sum over ``number`` atoms of three kinds."""
    random = _random()
    s, positions = 0.05 * random.normal(size=(1000, 3)), 50 * random.normal(size=(number, 3))
    kind, profiles = random.integers(0, 3, number), random.random((3, 1000)) + 0j

    def plain() -> np.ndarray:
        waves = np.exp(2j * np.pi * (s @ positions.T))
        return np.einsum("jp,pj->p", profiles[kind], waves)

    return Pair(fast=lambda: direct_sum(s, positions, kind, profiles), reference=plain)


@timed(f"{_SAMPLE}.shapes.polyhedron", size=40, tiny=5)
def polyhedron(edge: int) -> Pair:
    """Return a cube's transform as that of a polyhedron; the plain form is the closed one."""
    cube = Body(shape="cube", size_angstrom=200.0, electrons_per_angstrom3=1.0)
    axis = np.linspace(-0.02, 0.021, edge)
    where = axis[:, None, None], axis[None, :, None], axis[None, None, :]
    return Pair(
        fast=lambda: polyhedron_transform(cube.corners, *where),
        reference=lambda: cube.transform(*where),
    )


@timed(f"{_SAMPLE}.solvent.mark_balls", size=8_000, tiny=30)
def balls(number: int) -> Pair:
    """Mark the voxels within the balls of ``number`` atoms."""
    random, edge = _random(), 20 + round((700 * number) ** (1 / 3))
    shape = edge, edge, edge
    centres, radii = random.uniform(8, edge - 8, (number, 3)), random.uniform(4, 5, number)

    def fast(block: np.ndarray) -> np.ndarray:
        mark_balls(block, centres, radii)
        return block

    def plain(block: np.ndarray) -> np.ndarray:
        for centre, radius in zip(centres, radii, strict=True):
            corner = np.ceil(centre - radius).astype(int)
            place = tuple(slice(a, a + 11) for a in corner)
            away = np.ogrid[place]
            squared = sum((x - c) ** 2 for x, c in zip(away, centre, strict=True))
            block[place] |= squared <= radius**2
        return block

    return Pair(
        fast=fast, reference=plain, arguments=lambda: (np.zeros(shape, np.bool_),), tolerance=0
    )


@timed(f"{_SAMPLE}.solvent.shrink", size=80, tiny=12)
def shrinking(edge: int) -> Pair:
    """Take off the voxels within two of the outside."""
    block = ndimage.gaussian_filter(_random().normal(size=(edge,) * 3), 4) > 0
    distance: Callable[..., Any] = ndimage.distance_transform_edt
    return Pair(
        fast=lambda: shrink(block, 2.1), reference=lambda: distance(block) > 2.1, tolerance=0
    )
