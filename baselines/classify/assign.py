"""The last pass: what each pattern is, and how far from round its class is."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from baselines.classify.averages import Classes, without_structure
from baselines.classify.config import ClassifyConfig
from baselines.classify.iterate import compare, groups, rows_at_once
from baselines.classify.stage import Stage
from baselines.emc.comparison import Comparison
from baselines.emc.posterior import Tile


@dataclass(kw_only=True)
class Assignment:
    """Classes of all patterns, filled in block by block, on the CPU; class 0 is that of the blanks.

    ``probability`` [N, K+1]; ``angle``: in-plane angle (radians) by which the average of the
    likeliest class, ``class_id``, is turned about the beam; ``fluence``: relative, 0 where blank;
    ``per_photon``: log-likelihood per photon (nats, without Σ log k!), NaN where blank;
    ``structure``: nats by which the average explains the pattern better than without its structure.
    """

    probability: Float[Tensor, "N K1"]
    angle: Float[Tensor, "N"]
    fluence: Float[Tensor, "N"]
    per_photon: Float[Tensor, "N"]
    structure: Float[Tensor, "N"]

    @property
    def class_id(self) -> Int[Tensor, "N"]:
        """The likeliest class."""
        return self.probability.argmax(1)


def assign(
    stage: Stage, classes: Classes, fluence: Float[Tensor, "N"], config: ClassifyConfig
) -> Assignment:
    """Compare every pattern with the final averages."""
    N = len(fluence)
    out = Assignment(
        probability=torch.zeros(N, len(classes) + 1),
        angle=torch.zeros(N),
        fluence=fluence,
        per_photon=torch.zeros(N),
        structure=torch.zeros(N),
    )
    flat = without_structure(stage, classes.rate)
    for members, typical in groups(stage, fluence, config.fluence_classes):
        comparison = compare(stage, classes.rate, typical)
        without = compare(stage, flat, typical)
        for numbers, rows in stage.blocks(members):
            for part in torch.arange(len(numbers)).split(rows_at_once(stage, len(classes))):
                some, block = numbers[part], rows[part[0] : part[-1] + 1]
                _assign(out, classes, some, block, comparison, without)
                totals = stage.survey.totals[some]
                left_out = stage.survey.left_out(some, totals, fluence[some], typical)
                out.per_photon[some] += left_out.float()
    stage.processes.sum(out.probability, out.angle, out.per_photon, out.structure)
    out.per_photon.div_(stage.survey.totals)
    dark = ~stage.lit
    out.probability[dark, 0] = 1
    out.per_photon[dark] = out.structure[dark] = torch.nan
    return out


def _assign(
    out: Assignment,
    classes: Classes,
    some: Int[Tensor, "n"],
    rows: Tensor,
    comparison: Comparison,
    without: Comparison,
) -> None:
    fluence = out.fluence[some].to(rows.device)
    prior = classes.log_prior(fluence, 1.0)
    loglik = _whole(comparison.tiles(rows, fluence, prior))
    angles = len(loglik)
    evidence = loglik.logsumexp(0) - math.log(angles)
    rings = _whole(without.tiles(rows, fluence, prior)).logsumexp(0) - math.log(angles)
    posterior = (evidence + prior).softmax(1)
    best = posterior.argmax(1, keepdim=True)
    of_best = loglik.gather(2, best.expand(angles, -1, -1))[..., 0]
    out.probability[some, 1:] = posterior.cpu()
    out.angle[some] = (of_best.argmax(0) * (2 * math.pi / angles)).float().cpu()
    out.per_photon[some] = of_best.amax(0).cpu()
    out.structure[some] = (evidence - rings).gather(1, best)[:, 0].cpu()


def _whole(tiles: list[Tile]) -> Float[Tensor, "J n K"]:
    """Return LL of every angle and class, without priors."""
    even, odd = (torch.cat(parts, 2) for parts in zip(*(t.halves for t in tiles), strict=True))
    return torch.cat([even + odd, even - odd])
