"""The test of the opposite sign: which of two first volumes stays likely farther out.

A particle of a point group is nearly round at the low resolution of a start, and its angular part
with the opposite sign explains the patterns nearly as well. Two steps farther out it does not.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from xrai.poses.finder import PoseFinder
from xrai.rounds.sampling import choose_oversampling
from xraisim.core.closed_form import volume_from_sums
from xraisim.core.merge import Accumulator, intensity_grid
from xraisim.core.radial import mean_by_shell, shell_numbers
from xraisim.core.types import Photons, Volume

_STEPS_OUT = 2


def likelier_sign(
    finder: PoseFinder, volume: Volume, log_profile: Float[Tensor, "G G G"], photons: Photons
) -> tuple[Volume, bool]:
    """Return the volume or its opposite, whichever turns out likelier, and if the latter.

    ``log_profile``: see :func:`opposite`.
    """
    other = opposite(volume, log_profile)
    gain = loglik_farther_out(finder, other, photons)
    gain -= loglik_farther_out(finder, volume, photons)
    turned = finder.processes.agreed(gain) > 0
    return (other if turned else volume), turned


def opposite(volume: Volume, log_profile: Float[Tensor, "G G G"]) -> Volume:
    """Return the volume with the sign of its angular part reversed, in the logarithm.

    The angular part is what is left of log V − ``log_profile`` without its mean over each shell;
    the profile of a steep intensity varies within a shell too.
    """
    residual = volume.values.log() - log_profile
    shell = shell_numbers(volume.grid, residual.device)
    angular = residual - mean_by_shell(shell.reshape(-1), residual.reshape(-1))[shell]
    return replace(volume, values=volume.values * torch.exp(-2 * angular))


def loglik_farther_out(finder: PoseFinder, volume: Volume, photons: Photons) -> float:
    """Return the log-likelihood per pattern (nats) two steps of resolution farther out.

    They get poses from nothing, are merged, and posed against the merge a step farther out.
    """
    stream, config, s_now = finder.stream, finder.config, finder.s_search
    poses = finder.locate(volume, photons, finder.grid(volume, "start/trial"), s_now)
    oversampling = choose_oversampling(finder, volume)
    for _ in range(_STEPS_OUT):
        s_next = min(s_now * config.rounds.ratio, finder.s_edge)
        fit = finder.likelihood(volume, photons, s_now).goodness(poses.quaternion)
        fluence = fit.fluence
        place = intensity_grid(s_next, stream.diameter_angstrom, oversampling)
        sums = Accumulator.empty(*place, finder.device)
        pixels, alike = finder.pixels_within(s_next), torch.ones_like(fluence).float()
        sums.add(pixels, photons, poses.quaternion, fluence.float(), volume, alike)
        volume = volume_from_sums(sums, stream.diameter_angstrom, config.volume, finder.group)
        poses = finder.refine_outwards(volume, photons, poses, [s_next])
        s_now = s_next
    return float(poses.loglik.mean())
