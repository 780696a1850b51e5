"""The volumes of a round, made of its sums: the closed form, or networks that go on learning."""

from dataclasses import replace

import torch

from xrai.decoder import ImplicitDecoder, fit_sums, profile_of
from xrai.poses.finder import PoseFinder
from xrai.state.state import State
from xraisim.core.closed_form import for_look_up, volume_from_sums
from xraisim.core.merge import Accumulator
from xraisim.core.random import generator
from xraisim.core.types import Volume

_MARGIN = 2.5  # voxels of a grid beyond its s_max, and half a one for rounding
_LEARNT = ("encoding.", "network.")  # what of a decoder does not depend on its grid


def renew_volumes(finder: PoseFinder, state: State, *, sets: bool) -> None:
    """Make the volume of all patterns of a state's sums, and with ``sets`` those of every set."""
    if finder.config.volume.form == "implicit":
        found = _learnt(finder, state)
        state.volume = _mean(found)
    else:
        found = [_closed_form(finder, one) for one in state.sums] if sets else []
        state.volume = _closed_form(finder, Accumulator.total(state.sums))
    if sets:
        state.volumes = found


def _closed_form(finder: PoseFinder, sums: Accumulator) -> Volume:
    diameter = finder.stream.diameter_angstrom
    return volume_from_sums(sums, diameter, finder.config.volume, finder.group)


def _learnt(finder: PoseFinder, state: State) -> list[Volume]:
    """Let the network of every set learn from its sums; return what they hold."""
    fit, seed = finder.config.volume.fit, finder.config.seed
    known = state.networks or [{}] * finder.sets
    steps = fit.steps_per_round if state.networks else fit.steps
    state.networks, found = [], []
    for which, (weights, sums) in enumerate(zip(known, state.sums, strict=True)):
        decoder = _decoder(finder, sums, which)
        decoder.load_state_dict(weights, strict=False)
        random = generator(seed, f"volume/{which}/{state.rounds}")
        fit_sums(decoder, sums, replace(fit, steps=steps), random)
        learnt = decoder.state_dict().items()
        state.networks.append({name: one for name, one in learnt if name.startswith(_LEARNT)})
        found.append(for_look_up(decoder.volume(), finder.stream.diameter_angstrom))
    return found


def _decoder(finder: PoseFinder, sums: Accumulator, which: int) -> ImplicitDecoder:
    """Return an untrained network around the radial mean of sums, on their grid."""
    diameter, config = finder.stream.diameter_angstrom, finder.config
    voxels = 1 / (sums.spacing * diameter)  # per 1/D
    settings = replace(config.decoder, symmetry=config.symmetry, oversampling=voxels)
    s_max = (sums.photons.shape[0] // 2 - _MARGIN) * sums.spacing
    random = generator(finder.config.seed, f"volume/{which}/decoder")
    decoder = ImplicitDecoder(settings, diameter, s_max, profile_of(sums).cpu(), random)
    return decoder.to(finder.device)


def _mean(volumes: list[Volume]) -> Volume:
    values = torch.stack([one.values for one in volumes]).mean(0)
    return replace(volumes[0], values=values)
