"""The robust start: online pose search at low resolution, from which the implicit decoder learns.

Each step scores a batch against templates at a whole grid of rotations (one matrix product), draws
one pose per pattern from the tempered posterior, and takes one gradient step of the decoder at
those poses. A cold, short-sighted start falls into the right basin; where it does not, what it
leaves unexplained tells, and another is made.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from xrai.decoder import ImplicitDecoder, radial_profile
from xrai.decoder.config import DecoderConfig
from xrai.poses.finder import PoseFinder
from xrai.poses.likelihood import PoseLikelihood
from xrai.poses.mates import refine_hypotheses
from xrai.rounds.photons import require_photons
from xrai.rounds.sampling import for_fringes
from xrai.rounds.sign_test import likelier_sign
from xrai.state.monitor import Monitor
from xraisim.core import rotations, so3
from xraisim.core.finite import require_finite
from xraisim.core.likelihood import best_fluence, photon_nll
from xraisim.core.merge import intensity_grid
from xraisim.core.misfit import Goodness
from xraisim.core.random import generator
from xraisim.core.search import grid_loglik, log_templates
from xraisim.core.symmetry import symmetrize
from xraisim.core.types import Photons, Pixels, Volume

_FINER = (4.0, 5.0)  # voxels per 1/D, where the radial mean has fringes
_PROBE = 256  # patterns by which a start is judged
_PROBE_STEPS = 3  # of Newton, with which they are posed for it
_SIGN_PROBE = 2048  # by which the sign of what is not round about it is


def robust_start(finder: PoseFinder, monitor: Monitor) -> tuple[Volume, bool]:
    """Return the first volume, and whether it explains the patterns it was made of.

    Restarts follow one another until one settles; if none does, the likeliest is returned. Of a
    particle with a point group, each is tried with either sign of its angular part.
    """
    config, stream = finder.config, finder.stream
    s_max = min(config.start.reach / stream.diameter_angstrom, finder.s_edge)
    pixels = finder.pixels_within(s_max)
    blocks = list(stream.blocks(0, stream.wait_for(config.start.buffer)))
    require_photons(blocks, finder.sets, len(pixels))
    counts = torch.cat([photons.dense(len(pixels)) for _, photons in blocks]).to(finder.device)
    counts = counts[counts.sum(1) > 0]
    probe, some = (_first_lit(blocks, most, len(pixels)) for most in (_PROBE, _SIGN_PROBE))
    best, best_nll = None, float("inf")
    for restart in range(config.start.restarts):
        decoder, nll = _online(counts, pixels, finder, restart, monitor)
        volume, turned = _symmetric(finder, decoder.volume()), False
        if finder.group is not None:
            volume, turned = likelier_sign(finder, volume, decoder.base, some)
        fit = _fit(finder, volume, pixels, probe)
        unexplained = float(fit.unexplained.median())
        if pixels.has_background:
            volume = scaled(volume, finder.processes.agreed(float(fit.fluence.mean())))
        settled = finder.processes.agreed(unexplained) < config.start.settled
        monitor.log(
            "start",
            restart=restart,
            nll_per_photon=nll,
            unexplained=unexplained,
            settled=int(settled),
            opposite_sign=int(turned),
        )
        if settled:
            return volume, True
        if nll < best_nll:
            best, best_nll = volume, nll
    assert best is not None
    return best, False


def _first_lit(blocks: list[tuple[slice, Photons]], most: int, pixels: int) -> Photons:
    """Return the first patterns with photons, at most ``most``, of the first block that has any."""
    numbers, photons = next(
        (lit, photons) for _, photons in blocks if len(lit := photons.lit(pixels))
    )
    return photons.take(numbers[:most])


def _symmetric(finder: PoseFinder, volume: Volume) -> Volume:
    if finder.group is None:
        return volume
    return replace(volume, values=symmetrize(volume.values, finder.group))


def scaled(volume: Volume, scale: float) -> Volume:
    """Return the volume times a scale, which the decoder's likelihood leaves free.

    A search beside a known background needs the one of mean fluence one.
    """
    return volume if scale == 1 else replace(volume, values=volume.values * scale)


def _fit(finder: PoseFinder, volume: Volume, pixels: Pixels, probe: Photons) -> Goodness:
    """Return how well the volume fits a probe at refined poses, which no coarse grid limits."""
    grid = finder.grid(volume, "start/probe")
    hypotheses = grid.best(probe, finder.config.search.hypotheses)
    likelihood = PoseLikelihood(volume, pixels, probe)
    steps = finder.steps(float(pixels.radius[-1]), _PROBE_STEPS)
    return likelihood.goodness(refine_hypotheses(likelihood, hypotheses, steps).quaternion)


def _online(
    counts: Tensor, pixels: Pixels, finder: PoseFinder, restart: int, monitor: Monitor
) -> tuple[ImplicitDecoder, float]:
    """Run one start; return its decoder and the negative log-likelihood per photon it reached."""
    config, device = finder.config, counts.device
    start, stream = config.start, f"start/{restart}"
    decoder = fresh_decoder(finder, config.decoder, counts.mean(0), pixels, stream)
    model = finder.processes.parallel(decoder)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=config.decoder.learning_rate)
    random = generator(config.seed, stream, device)
    grid = so3.super_fibonacci(start.rotations).to(device)
    beta = min(1.0, start.cold_photons / max(float(counts.sum(1).mean()), 1.0))
    order, cursor = torch.randperm(len(counts), generator=random, device=device), 0
    size = min(start.batch, len(counts))
    scale = 1.0  # of the decoder's volume where the mean fluence is one
    with monitor.progress(f"start {restart + 1} of {start.restarts}", start.steps) as advance:
        for step in range(start.steps):
            if step % start.templates_every == 0:
                # A fresh global rotation each time: the volume must not learn one fixed grid.
                turned = rotations.multiply(so3.haar(1, random), grid)
                volume = scaled(_symmetric(finder, decoder.volume()), scale)
                templates = log_templates(volume, pixels, turned).contiguous()
            if cursor + size > len(order):
                order = torch.randperm(len(counts), generator=random, device=device)
                cursor = 0
            uniform = torch.rand(size, generator=random, device=device)
            mine = finder.processes.share(size)
            batch = counts[order[cursor : cursor + size][mine]]
            cursor += size
            loglik = grid_loglik(batch, templates)
            pose = turned[_tempered_draw(loglik, beta, uniform[mine])]
            loss, fluence = _decoder_step(model, optimizer, batch, pixels, pose)
            if pixels.has_background:
                scale = finder.processes.agreed(fluence)
            require_finite(f"the loss in step {step + 1} of start {restart + 1}", loss)
            beta = min(1.0, beta * start.growth)
            advance(1, f"nll/photon {loss:.4f}  β {beta:.3f}")
    return decoder, _best_nll(decoder, counts, pixels, grid, config.block)


def fresh_decoder(
    finder: PoseFinder, settings: DecoderConfig, mean: Float[Tensor, "P"], pixels: Pixels, name: str
) -> ImplicitDecoder:
    """Return an untrained decoder around the radial mean of a ``mean`` pattern.

    Its grid holds the pixels and what is searched, as finely as the radial mean asks for.
    """
    diameter, s_max = finder.stream.diameter_angstrom, float(pixels.radius[-1])
    choices = (settings.oversampling, *(o for o in _FINER if o > settings.oversampling))
    settings = replace(settings, oversampling=for_fringes(finder, choices))
    spacing = 1 / (settings.oversampling * diameter)
    if intensity_grid(s_max, diameter, settings.oversampling)[0] // 2 <= finder.s_search / spacing:
        s_max = finder.s_search - spacing
    shells = int(s_max * diameter * settings.oversampling) + 3
    profile = radial_profile(mean, pixels, spacing, shells).cpu()
    random = generator(finder.config.seed, f"{name}/decoder")
    return ImplicitDecoder(settings, diameter, s_max, profile, random).to(finder.device)


def _tempered_draw(loglik: Tensor, beta: float, uniform: Tensor) -> Tensor:
    """Draw a grid pose per pattern from the posterior to the power β, by inverting its sum."""
    cumulative = (beta * loglik).softmax(1).cumsum(1)
    drawn = torch.searchsorted(cumulative, uniform[:, None] * cumulative[:, -1:])
    return drawn[:, 0].clamp_max(loglik.shape[1] - 1)


def _decoder_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Tensor,
    pixels: Pixels,
    pose: Tensor,
) -> tuple[float, float]:
    """Take a gradient step; return the loss, and the mean fluence at the poses before it."""
    rates = model(rotations.to_matrix(pose), pixels.s) * pixels.gain
    loss = photon_nll(batch, rates, pixels.background).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    fluence = best_fluence(batch, rates.detach(), pixels.background)
    return float(loss.detach()), float(fluence.mean())


@torch.no_grad()
def _best_nll(
    decoder: ImplicitDecoder, counts: Tensor, pixels: Pixels, grid: Tensor, block: int
) -> float:
    """Return the mean over patterns of the best pose's negative log-likelihood per photon."""
    templates = log_templates(decoder.volume(), pixels, grid).contiguous()
    best = torch.cat([grid_loglik(part, templates).max(1).values for part in counts.split(block)])
    return float(-(best / counts.sum(1).clamp_min(1)).mean())
