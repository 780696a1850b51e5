"""What an engine of the E- and the M-step does; there is a harmonic and a dense one."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from baselines.emc.models import Model
from baselines.emc.posterior import Posterior, Tile
from xraisim.core.merge import Accumulator
from xraisim.core.types import Photons


@runtime_checkable
class Engine(Protocol):
    """Likelihoods of all orientations of a level, and sums over patterns by their posterior.

    One pass: :meth:`begin` with the models; for every block of patterns :meth:`tiles`, and
    :meth:`collect` with the posterior over these; at last :meth:`finish`.
    """

    def prepare(self, photons: Photons) -> Tensor:
        """Return the rows of a block of patterns, in the engine's own form, on its device."""

    def begin(self, models: list[Model], known: float, fluence: float) -> None:
        """Make templates; the volumes are known to |s| = ``known`` (Å⁻¹).

        ``fluence``: typical of the patterns to come, which matters where there is background.
        """

    def tiles(
        self, rows: Tensor, fluence: Float[Tensor, "n"], candidates: Int[Tensor, "n K"] | None
    ) -> list[Tile]:
        """Return LL of all columns, or of each pattern's candidates (−1: none).

        LL leaves out what no orientation changes: Σ k log gain, k log φ without background, log k!.
        """

    def exposure(self, found: Posterior) -> Float[Tensor, "n"]:
        """Return Σ_r P Σ_p gain·V: photons expected at fluence 1, within what is known."""

    def signal(self, rows: Tensor, found: Posterior) -> Float[Tensor, "n"]:
        """Return Σ_r P Σ_p k f: photons that count for the signal, within what is known."""

    def collect(self, rows: Tensor, fluence: Float[Tensor, "n"], found: Posterior) -> None:
        """Add a block of patterns to the sums, at new fluences."""

    def finish(self, merged: list[Accumulator]) -> None:
        """Add what was collected to the photons and exposures of each class."""
