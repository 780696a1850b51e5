"""The volumes of a round, made of its sums: the closed form, or networks that go on learning."""

from dataclasses import replace

import torch
from torch import Tensor

from xrai.decoder import ImplicitDecoder, fit_sums, profile_of
from xrai.poses.finder import PoseFinder
from xrai.rounds.reconstruction import ActiveRound
from xrai.state.state import State
from xraisim.core.closed_form import for_look_up, volume_from_sums
from xraisim.core.halves import members
from xraisim.core.merge import Accumulator
from xraisim.core.random import generator
from xraisim.core.types import Volume

_MARGIN = 2.5  # voxels of a grid beyond its s_max, and half a one for rounding
_LEARNT = ("encoding.", "network.")  # what of a decoder does not depend on its grid


def fix_scales(active: ActiveRound) -> None:
    """Make the mean fluence of each set one, and its sums fit: fluence and intensity trade off."""
    state, rows = active.state, active.rows
    weight, fluence = state.columns["weight"], state.columns["fluence"]
    for number, index in enumerate(members(rows, active.finder.sets)):
        some = index + rows.start
        total = (fluence[some] * weight[some]).sum()
        mean = float(total / weight[some].sum().clamp_min(1e-6))
        if mean > 0:
            fluence[some] /= mean
            sums = state.sums[number]
            state.sums[number] = replace(sums, exposure=sums.exposure / mean)


def renew_volumes(finder: PoseFinder, state: State, *, sets: bool) -> None:
    """Make the volume of all patterns of a state's sums, and with ``sets`` those of every set."""
    if finder.config.volume.form == "implicit":
        networks = _learnt(finder, state)
        volumes = [_volume_of(finder, network) for network in networks]
        state.networks = [_kept_weights(network) for network in networks]
        state.volume = _mean(volumes)
    else:
        volumes = [_closed_form(finder, sums) for sums in state.sums] if sets else []
        state.volume = _closed_form(finder, Accumulator.total(state.sums))
    if sets:
        state.volumes = volumes


def _closed_form(finder: PoseFinder, sums: Accumulator) -> Volume:
    diameter = finder.stream.diameter_angstrom
    return volume_from_sums(sums, diameter, finder.config.volume, finder.group)


def _learnt(finder: PoseFinder, state: State) -> list[ImplicitDecoder]:
    """Return the network of every set, after it has learnt from its sums."""
    fit, seed = finder.config.volume.fit, finder.config.seed
    before = state.networks or [{}] * finder.sets
    steps = fit.steps_per_round if state.networks else fit.steps
    networks = []
    for which, (weights, sums) in enumerate(zip(before, state.sums, strict=True)):
        decoder = _decoder(finder, sums, which)
        decoder.load_state_dict(weights, strict=False)
        random = generator(seed, f"volume/{which}/{state.rounds}")
        fit_sums(decoder, sums, replace(fit, steps=steps), random)
        networks.append(decoder)
    return networks


def _volume_of(finder: PoseFinder, network: ImplicitDecoder) -> Volume:
    return for_look_up(network.volume(), finder.stream.diameter_angstrom)


def _kept_weights(network: ImplicitDecoder) -> dict[str, Tensor]:
    weights = network.state_dict().items()
    return {name: value for name, value in weights if name.startswith(_LEARNT)}


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
    values = torch.stack([volume.values for volume in volumes]).mean(0)
    return replace(volumes[0], values=values)
