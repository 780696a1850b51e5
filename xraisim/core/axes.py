"""Where the symmetry axes of an intensity lie: its point group, in the frame of the volume."""

from jaxtyping import Float
from torch import Tensor

from xraisim.core import rotations, so3
from xraisim.core.align import AmplitudeScore, amplitude_deviation, climb
from xraisim.core.errors import ConfigError
from xraisim.core.random import generator
from xraisim.core.symmetry import point_group
from xraisim.core.types import Volume

_POINTS = 3000
_ROTATIONS = 8000
_CANDIDATES = 24
_PROBES = 3  # elements of the group that are tried; more only cost time
_LEAST = 0.7  # correlation of a volume with itself turned by an element of its group


def group_in_frame(
    volume: Volume, name: str, s_band: tuple[float, float], seed: int = 0
) -> Float[Tensor, "n 4"]:
    """Return the rotations h with V(h s) = V(s), quaternions float32, identity first.

    They are B g B⁻¹ for the elements g of point group ``name`` (:func:`point_group`) and the
    rotation B that makes the volume most like itself turned by them, within ``s_band`` (Å⁻¹).
    Raises :class:`ConfigError` where no axes fit.
    """
    group = point_group(name).float()
    if len(group) == 1:
        return group
    probes = group[1 :: max(1, (len(group) - 1) // _PROBES)][:_PROBES]
    draw = generator(seed, "axes")
    alike = AmplitudeScore(volume, amplitude_deviation(volume), s_band, _POINTS, draw)

    def score(frames: Float[Tensor, "m 4"]) -> Float[Tensor, "m"]:
        turned = in_frame(probes, frames).reshape(-1, 4)
        return alike(turned).reshape(len(frames), len(probes)).mean(1)

    start = rotations.multiply(so3.haar(1, draw), so3.super_fibonacci(_ROTATIONS))
    found = start[score(start).topk(_CANDIDATES).indices]
    found, value = climb(score, found, so3.spacing(_ROTATIONS), draw)
    best = int(value.argmax())
    if float(value[best]) < _LEAST:
        raise ConfigError(
            f"the particle does not have point group {name}: turned by it about the axes that fit "
            f"best, its intensity correlates with itself by {float(value[best]):.2f} only"
        )
    return in_frame(group, found[best : best + 1])[0]


def in_frame(group: Float[Tensor, "n 4"], frames: Float[Tensor, "m 4"]) -> Float[Tensor, "m n 4"]:
    """Return the elements B g B⁻¹ of a group for each frame B."""
    product = rotations.multiply(frames[:, None], group)
    return rotations.multiply(product, rotations.conjugate(frames)[:, None])
