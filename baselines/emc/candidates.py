"""Where to look for a pattern again: view directions near those that its posterior held before."""

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from baselines.emc.models import Columns
from baselines.emc.posterior import Posterior
from xraisim.core import rotations

_REACH = 1.5  # spacings of the grid that the directions come from
_LEAST = 1e-3  # of a pattern's probability: directions with less are not gone back to


class Candidates:
    """For every column of an older grid, the columns of a newer one that are near it.

    ``hypotheses`` [N, H]: each pattern's likeliest columns of the older grid (−1: none). Directions
    are near within 1.5 spacings of the older grid; classes are not changed.
    """

    def __init__(
        self,
        hypotheses: Int[Tensor, "N H"],
        older: Columns,
        newer: Columns,
        group: Float[Tensor, "m 4"],
    ) -> None:
        self._hypotheses = hypotheses
        self._near = _neighbours(older, newer, group)

    def __call__(self, numbers: Int[Tensor, "n"]) -> Int[Tensor, "n K"]:
        """Return the columns to search for some patterns, each once, −1 where there are fewer."""
        held = self._hypotheses[numbers]
        found = self._near[held.clamp_min(0)].masked_fill_((held < 0)[..., None], -1).flatten(1)
        found = found.sort(1, descending=True).values
        repeated = torch.zeros_like(found, dtype=torch.bool)
        repeated[:, 1:] = found[:, 1:] == found[:, :-1]
        found = found.masked_fill(repeated, -1).sort(1, descending=True).values
        most = int((found >= 0).sum(1).max())
        return found[:, : max(1, most)].contiguous()


def _neighbours(older: Columns, newer: Columns, group: Float[Tensor, "m 4"]) -> Int[Tensor, "O k"]:
    lists: list[Int[np.ndarray, "_"]] = []
    turns = rotations.to_matrix(group).numpy()
    for number in range(len(older.start) - 1):
        old, new = _directions(older, number), _directions(newer, number)
        # Beyond the rim of an asymmetric unit lie mates of directions that are far off inside it.
        tree = cKDTree(np.einsum("mij,dj->mdi", turns, new).reshape(-1, 3))
        reach = _REACH * math.sqrt(4 * math.pi / (len(old) * len(turns)))
        near = tree.query_ball_point(old, 2 * math.sin(min(reach, math.pi) / 2))
        nearest = tree.query(old)[1]
        lists += [
            newer.start[number] + np.unique(np.array(some or [one]) % len(new))
            for some, one in zip(near, nearest, strict=True)
        ]
    out = np.full((len(lists), max(map(len, lists))), -1, np.int32)
    for row, some in zip(out, lists, strict=True):
        row[: len(some)] = some
    return torch.from_numpy(out)


def _directions(columns: Columns, number: int) -> Float[np.ndarray, "D 3"]:
    frames = columns.frames[columns.of_class(number)].cpu()
    return rotations.to_matrix(frames)[:, 2].numpy()


def likeliest(mass: Float[Tensor, "n K"], most: int) -> Int[Tensor, "n H"]:
    """Return up to ``most`` columns that hold most of each posterior, −1 where there are fewer.

    ``mass``: probability of each column.
    """
    top = mass.topk(min(most, mass.shape[1]))
    weak = top.values < _LEAST
    weak[:, 0] = False  # a flat posterior has no strong column, and its best is still gone back to
    chosen = top.indices.int().masked_fill(weak, -1)
    return torch.nn.functional.pad(chosen, (0, most - chosen.shape[1]), value=-1)


def column_mass(found: Posterior, columns: int) -> Float[Tensor, "n K"]:
    """Return the probability of each column, summed over in-plane angles."""
    if found.entries is None:
        return torch.cat([tile.halves[0].sum(0) for tile in found.tiles], 1)
    entries = found.entries
    patterns = len(entries.offsets) - 1
    flat = entries.patterns() * columns + entries.column
    total = torch.zeros(patterns * columns, device=entries.weight.device)
    return total.index_add_(0, flat, entries.weight).view(patterns, columns)
