"""Superpositions of both hands, in which iterations stagnate, and the way out of them.

Intensities fit a density and its inverse alike, and a start may settle on the sum of both (Guizar-
Sicairos and Fienup 2012). Such a start is its own inverse, so its phases agree with those of its
conjugate; then one half of it is taken away, which prefers one hand, and it is phased again. A
particle that has an inversion centre shows the same sign, so the second attempt only counts where
it fits the amplitudes clearly better.
"""

from dataclasses import replace
from threading import Event

import torch

from baselines.phasing.stage import Stage, Starts
from baselines.phasing.support import half_of

_CLEARLY_BETTER = 0.9


def break_twins(
    stage: Stage, starts: Starts, draw: torch.Generator, halt: Event
) -> tuple[Starts, int]:
    """Return the starts, those of both hands phased anew where that helps, and how many it helped.

    Looked at are starts whose twin overlap exceeds ``config.twin_overlap``.
    """
    limit = stage.config.twin_overlap
    suspects = [i for i, value in enumerate(stage.twin_overlaps(starts)) if value > limit]
    if not suspects or halt.is_set():
        return starts, 0
    halves = torch.stack(
        [half_of(starts.support[i], torch.randn(3, generator=draw)) for i in suspects]
    )
    chosen = starts.take(suspects)
    one_sided = replace(chosen, density=chosen.density * halves)
    again = stage.iterate(one_sided, lambda iterations: None, halt)
    parts, broken = [starts.take([i]) for i in range(len(starts))], 0
    for number, index in enumerate(suspects):
        if again.r_factor[number] < _CLEARLY_BETTER * starts.r_factor[index]:
            parts[index] = again.take([number])
            broken += 1
    return Starts.joined(parts), broken
