"""A batch of shots on a torch device, and the sum over the exposures of each."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from xraisim.core import rotations
from xraisim.photons.shots import Shots


@dataclass(frozen=True, kw_only=True)
class DeviceShots:
    """n shots with m exposures; shot i has ``start[i] … start[i] + exposures[i] − 1``.

    ``number``: the patterns' numbers. ``rotation``: R row by row, times the exposure's scale over
    its volume's spacing, so that it turns Å⁻¹ into voxels. The others as in :class:`Shots`.
    """

    number: Int[Tensor, "n"]
    start: Int[Tensor, "n"]
    exposures: Int[Tensor, "n"]
    most_exposures: int
    strength: Float[Tensor, "n"]
    rotation: Float[Tensor, "9 m"]
    model: Int[Tensor, "m"]
    weight: Float[Tensor, "m"]

    def __len__(self) -> int:
        return len(self.number)

    def add_exposures(
        self,
        shot: Int[Tensor, "k"],
        total: Float[Tensor, "k *rest"],
        term: Callable[[Tensor, Tensor], Tensor],
    ) -> Float[Tensor, "k *rest"]:
        """Add to the rows of ``total`` what ``term(row, exposure)`` gives for their shots.

        It is called with int64 rows and the one exposure of each, first exposures first, so that
        the rounding of a sum does not depend on the batch.
        """
        for j in range(self.most_exposures):
            row = (self.exposures[shot] > j).nonzero()[:, 0]
            total.index_add_(0, row, term(row, self.start[shot[row]] + j))
        return total


def upload_shots(
    shots: Shots, first: int, spacing: np.ndarray, device: torch.device
) -> DeviceShots:
    """Copy shots to ``device``: patterns ``first`` and on.

    ``spacing`` [models] of the volumes in Å⁻¹.
    """
    exposures, model = np.diff(shots.offsets), shots.model.astype(np.int64)
    per_voxel = (shots.scale / spacing[model]).astype(np.float32)
    rotation = rotations.to_matrix(torch.from_numpy(shots.orientation)).numpy()
    return DeviceShots(
        number=upload(np.arange(first, first + len(shots)), device),
        start=upload(shots.offsets[:-1], device),
        exposures=upload(exposures, device),
        most_exposures=int(exposures.max(initial=0)),
        strength=upload(shots.strength, device),
        rotation=upload((rotation.reshape(-1, 9) * per_voxel[:, None]).T, device),
        model=upload(model, device),
        weight=upload(shots.weight, device),
    )


def upload(array: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to ``device``."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
