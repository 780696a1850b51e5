"""A level made concrete: its pixels, orientations, volume grid and patterns."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from baselines.emc.config import EmcConfig, Level
from baselines.emc.dense import DenseEngine
from baselines.emc.door import first_with_photons
from baselines.emc.engine import Engine
from baselines.emc.expand import Profile
from baselines.emc.harmonic import HarmonicEngine
from baselines.emc.inputs import Inputs
from baselines.emc.models import Columns
from baselines.emc.orientations import OrientationGrid
from baselines.emc.polar import PolarGrid
from baselines.emc.stream import PatternBlocks, Survey, pixels_within, split
from xraisim.core.merge import intensity_grid
from xraisim.core.processes import Processes
from xraisim.core.types import Pixels

_PREFER_DENSE = 2.0  # operations of the dense engine that take the time of one harmonic one


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What the iterations of one level share, on the device.

    ``number``: of the level; ``grid``: (voxels per edge, spacing in Å⁻¹); ``chosen`` [N]: patterns
    that take part; ``processes``: among whom ``blocks`` are a share of them.
    """

    config: EmcConfig
    level: Level
    number: int
    diameter_angstrom: float
    pixels: Pixels
    orientations: OrientationGrid
    columns: Columns
    grid: tuple[int, float]
    chosen: Bool[Tensor, "N"]
    blocks: PatternBlocks
    survey: Survey
    profile: Profile
    engine: Engine
    processes: Processes

    @property
    def d_min_angstrom(self) -> float:
        """Spacing that the outermost pixel reaches."""
        return 1 / self.s_max_per_angstrom

    @property
    def s_max_per_angstrom(self) -> float:
        """|s| of the outermost pixel."""
        return float(self.pixels.radius[-1])

    @property
    def photons(self) -> float:
        """Mean photons per pattern within the stage's pixels."""
        return float(self.survey.totals[self.chosen].double().mean())

    def fluence(self) -> Float[Tensor, "N"]:
        """Return a first estimate of the relative fluences: signal photons over their mean."""
        totals = self.survey.totals
        signal = totals - self.survey.background
        signal = signal.clamp_min(0.05 * float(totals[self.chosen].mean()))
        return signal / signal[self.chosen].mean()


def make_stage(inputs: Inputs, number: int) -> Stage:
    """Prepare level ``number``."""
    source, config, chosen = inputs.source, inputs.config, inputs.chosen
    level, diameter, processes = config.levels[number], inputs.diameter_angstrom, inputs.processes
    pixels = pixels_within(source, level.reach, config.d_min_angstrom)
    if level.patterns:
        chosen = first_with_photons(source, config, chosen, level.patterns)
    blocks = split(chosen, config.block_patterns, processes)
    survey = Survey.of(source, blocks, pixels, processes)
    profile = Profile.of(pixels, survey.mean - pixels.background, diameter)
    orientations = OrientationGrid.of(level.rotations, config.group).to(inputs.device)
    columns = Columns.of(orientations, config.isotropic)
    engine = _engine(config, pixels.to(inputs.device), diameter, columns, profile)
    return Stage(
        config=config,
        level=level,
        number=number,
        diameter_angstrom=diameter,
        pixels=pixels,
        orientations=orientations,
        columns=columns,
        grid=intensity_grid(float(pixels.radius[-1]), diameter, config.oversampling),
        chosen=chosen,
        blocks=PatternBlocks(
            source=source, blocks=blocks, prepare=engine.prepare, cache_gib=config.cache_gib
        ),
        survey=survey,
        profile=profile,
        engine=engine,
        processes=processes,
    )  # fmt: skip


def _engine(
    config: EmcConfig,
    pixels: Pixels,
    diameter: float,
    columns: Columns,
    profile: Profile,
) -> Engine:
    choice = config.engine
    if choice != "dense":
        grid = PolarGrid.of(
            pixels,
            diameter,
            angles=columns.angles,
            rings_per_speckle=config.rings_per_speckle,
            band=config.band,
        )
        if choice == "harmonic" or not _dense_is_faster(grid, columns, pixels):
            return HarmonicEngine(pixels, grid, columns, profile)
    return DenseEngine(pixels, columns, profile)


def _dense_is_faster(grid: PolarGrid, columns: Columns, pixels: Pixels) -> bool:
    """Compare the operations per pattern: the dense engine's single product is the better used.

    On CUDA it is the choice wherever it fits, as it runs in half precision on tensor cores.
    """
    if pixels.s.device.type == "cuda":
        return DenseEngine.fits(columns, pixels)
    directions, orders = len(columns), len(grid.orders)
    dense = directions * grid.angles * len(pixels)
    harmonic = 2 * grid.width * directions + orders * grid.angles * directions
    return dense < _PREFER_DENSE * harmonic and DenseEngine.fits(columns, pixels)
