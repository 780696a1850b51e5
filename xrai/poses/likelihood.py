"""The likelihood of orientations of some patterns, given a volume and pixels to go by."""

from dataclasses import dataclass, replace

from jaxtyping import Float, Int
from torch import Tensor

from xraisim.core.likelihood import PoseScores, candidate_loglik, pose_scores
from xraisim.core.misfit import Goodness, goodness
from xraisim.core.types import Photons, Pixels, Volume


@dataclass(frozen=True)
class PoseLikelihood:
    """What the likelihood of an orientation depends on besides the orientation.

    ``volume`` of intensities, ``photons`` of n patterns, of which those in ``pixels`` count: the
    innermost to some limit of resolution.
    """

    volume: Volume
    pixels: Pixels
    photons: Photons

    def take(self, index: Int[Tensor, "m"]) -> "PoseLikelihood":
        """Return that of some of the patterns."""
        return replace(self, photons=self.photons.take(index.cpu().numpy()))

    def of(self, candidates: Float[Tensor, "n C 4"]) -> Float[Tensor, "n C"]:
        """Return the log-likelihood (nats, float64) of C orientations per pattern."""
        return candidate_loglik(self.volume, self.pixels, self.photons, candidates)[0]

    def scores(self, quaternion: Float[Tensor, "n 4"]) -> PoseScores:
        """Return log-likelihood, gradient and Fisher information at an orientation per pattern."""
        return pose_scores(self.volume, self.pixels, self.photons, quaternion)

    def goodness(self, quaternion: Float[Tensor, "n 4"]) -> Goodness:
        """Return how well the patterns fit at an orientation each."""
        return goodness(self.volume, self.pixels, self.photons, quaternion)
