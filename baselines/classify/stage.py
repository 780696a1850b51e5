"""What all iterations share: pixels, polar grid, blocks of patterns, and which have a signal."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from baselines.classify.config import ClassifyConfig
from baselines.emc.expand import Detector, Profile
from baselines.emc.harmonics import PhotonHarmonics
from baselines.emc.polar import PolarGrid
from baselines.emc.stream import PatternBlocks, Survey, pixels_within, split
from xraisim.core.errors import SamplingError
from xraisim.core.processes import ALONE, Processes
from xraisim.core.types import PatternSource, Pixels

_BRIGHT = 0.9  # quantile of the signals that stands for a bright pattern, as most may be blank
_SIGMAS = 5  # of the background's photons, below which a pattern is blank


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The measurement on a polar grid, on the device.

    ``profile``: radial mean (electrons²) of the patterns that are ``lit`` [N], which are those with
    a signal; ``signal``: their mean photons above the background.
    ``kernel``, ``taper``: see :func:`baselines.classify.averages.smoothed`; ``counts`` [Q]: points
    of each ring; ``processes``: among whom ``blocks`` are a share of the ``lit``.
    """

    pixels: Pixels
    grid: PolarGrid
    harmonics: PhotonHarmonics
    detector: Detector
    profile: Profile
    survey: Survey
    blocks: PatternBlocks
    lit: Bool[Tensor, "N"]
    signal: float
    kernel: Float[Tensor, "Q Q"]
    taper: Float[Tensor, "Q M"]
    counts: Float[Tensor, "Q"]
    processes: Processes

    @property
    def d_min_angstrom(self) -> float:
        """Spacing that the outermost pixel reaches."""
        return 1 / float(self.pixels.radius[-1])

    @property
    def device(self) -> torch.device:
        """Where patterns and averages are."""
        return self.detector.gain.device

    def on_points(self, rings: Float[Tensor, "*k Q"]) -> Float[Tensor, "*k N"]:
        """Return values of the rings at every point of the grid."""
        return rings[..., self.grid.ring_of_point.to(rings.device)]

    def at_pixels(self, rings: Float[Tensor, "K Q"]) -> Float[Tensor, "K P"]:
        """Return positive values of the rings at every pixel, their logarithms interpolated."""
        near = self.grid.inner.long()[:, None] + torch.arange(self.grid.weight.shape[1])
        return (rings.log()[:, near.to(rings.device)] * self.grid.weight.to(rings)).sum(-1).exp()

    def fluence(self) -> Float[Tensor, "N"]:
        """Return a first estimate of the relative fluences: signal over its mean; 0 where blank."""
        above = self.survey.totals - self.survey.background
        return torch.where(self.lit, above / self.signal, 0.0).float()


def make_stage(
    source: PatternSource,
    config: ClassifyConfig,
    device: torch.device,
    processes: Processes = ALONE,
) -> Stage:
    """Read the patterns once and prepare the rest; raises :class:`SamplingError` if none is lit."""
    diameter = source.info["particle_diameter_angstrom"]
    pixels = pixels_within(source, config.reach, config.d_min_angstrom)
    everyone = torch.ones(source.n_patterns, dtype=torch.bool)
    mine = split(everyone, config.block_patterns, processes)
    survey = Survey.of(source, mine, pixels, processes)
    lit = find_lit(survey.totals, survey.background, config.faintest)
    if not bool(lit.any()):
        raise SamplingError(
            f"none of {source.n_patterns:,} patterns has photons above the background within "
            f"|s| < {float(pixels.radius[-1]):.4g} Å⁻¹; check mask and background"
        )
    blocks = split(lit, config.block_patterns, processes)
    bright = Survey.of(source, blocks, pixels, processes)
    grid = _grid(pixels, diameter, config)
    harmonics = PhotonHarmonics(grid)
    kernel, taper = _smoothing(grid, config.smoothing / diameter)
    return Stage(
        kernel=kernel.to(device),
        taper=taper.to(device),
        counts=grid.ring_of_point.bincount().float().to(device),
        pixels=pixels,
        grid=grid,
        harmonics=harmonics,
        detector=Detector.of(grid, harmonics, pixels.to(device)),
        profile=Profile.of(pixels, bright.mean - pixels.background, diameter),
        survey=survey,
        blocks=PatternBlocks(
            source=source, blocks=blocks, cache_gib=config.cache_gib,
            prepare=lambda photons: harmonics(photons).to(device),
        ),
        lit=lit,
        signal=float((bright.mean - pixels.background).sum()),
        processes=processes,
    )  # fmt: skip


def find_lit(totals: Float[Tensor, "N"], background: float, faintest: float) -> Bool[Tensor, "N"]:
    """Return which patterns have a signal.

    ``background``: photons expected from it. The signal must exceed ``faintest`` of a bright
    pattern's, which is the 90 % quantile of all, and five standard deviations of the background.
    """
    above = totals.double() - background
    bright = float(above.kthvalue(max(1, round(_BRIGHT * len(above)))).values)
    return above > max(faintest * bright, _SIGMAS * background**0.5, 0.0)


def _smoothing(grid: PolarGrid, sigma: float) -> tuple[Tensor, Tensor]:
    """Return a normal kernel between rings [Q, Q], and its factors along them [Q, M].

    ``sigma`` in Å⁻¹.
    """
    across = torch.exp(-((grid.radius[:, None] - grid.radius) / sigma).square() / 2)
    angle = sigma / grid.radius
    order = torch.arange(grid.highest + 1)
    return across / across.sum(0), torch.exp(-(angle[:, None] * order).square() / 2)


def _grid(pixels: Pixels, diameter: float, config: ClassifyConfig) -> PolarGrid:
    def with_angles(angles: int) -> PolarGrid:
        return PolarGrid.of(
            pixels, diameter, angles=angles, rings_per_speckle=config.rings_per_speckle,
            band=config.band,
        )  # fmt: skip

    return with_angles(2 * with_angles(2).highest)
