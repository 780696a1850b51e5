"""The volumes of a round, made of its sums: the closed form, or networks that go on learning."""

from dataclasses import replace

import torch

from xrai.decoder import ImplicitDecoder, fit_sums, profile_of
from xrai.poses.finder import March
from xrai.state.state import State
from xraisim.core.closed_form import for_look_up, volume_from_sums
from xraisim.core.merge import Accumulator
from xraisim.core.random import generator
from xraisim.core.types import Volume

_MARGIN = 2.5  # voxels of a grid beyond its s_max, and half a one for rounding
_LEARNT = ("encoding.", "network.")  # what of a decoder does not depend on its grid


def renew_volumes(march: March, state: State, *, sets: bool) -> None:
    """Make the volume of all patterns of a state's sums, and with ``sets`` those of every set."""
    if march.config.volume.form == "implicit":
        found = _learnt(march, state)
        state.volume = _mean(found)
    else:
        found = [_closed_form(march, one) for one in state.sums] if sets else []
        state.volume = _closed_form(march, Accumulator.total(state.sums))
    if sets:
        state.volumes = found


def _closed_form(march: March, sums: Accumulator) -> Volume:
    diameter = march.stream.diameter_angstrom
    return volume_from_sums(sums, diameter, march.config.volume, march.group)


def _learnt(march: March, state: State) -> list[Volume]:
    """Let the network of every set learn from its sums; return what they hold."""
    fit, seed = march.config.volume.fit, march.config.seed
    known = state.networks or [{}] * march.sets
    steps = fit.steps_per_round if state.networks else fit.steps
    state.networks, found = [], []
    for which, (weights, sums) in enumerate(zip(known, state.sums, strict=True)):
        decoder = _decoder(march, sums, which)
        decoder.load_state_dict(weights, strict=False)
        random = generator(seed, f"volume/{which}/{state.rounds}")
        fit_sums(decoder, sums, replace(fit, steps=steps), random)
        learnt = decoder.state_dict().items()
        state.networks.append({name: one for name, one in learnt if name.startswith(_LEARNT)})
        found.append(for_look_up(decoder.volume(), march.stream.diameter_angstrom))
    return found


def _decoder(march: March, sums: Accumulator, which: int) -> ImplicitDecoder:
    """Return an untrained network around the radial mean of sums, on their grid."""
    diameter, config = march.stream.diameter_angstrom, march.config
    voxels = 1 / (sums.spacing * diameter)  # per 1/D
    settings = replace(config.decoder, symmetry=config.symmetry, oversampling=voxels)
    s_max = (sums.photons.shape[0] // 2 - _MARGIN) * sums.spacing
    random = generator(march.config.seed, f"volume/{which}/decoder")
    decoder = ImplicitDecoder(settings, diameter, s_max, profile_of(sums).cpu(), random)
    return decoder.to(march.device)


def _mean(volumes: list[Volume]) -> Volume:
    values = torch.stack([one.values for one in volumes]).mean(0)
    return replace(volumes[0], values=values)
