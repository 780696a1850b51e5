"""The dense engine: every orientation's slice at every pixel, and matrix products with the counts.

The plain form of EMC (Loh & Elser 2009): no rings and no harmonics. It is what the harmonic engine
is tested against, and what remains for pixels that share no Ewald sphere. It costs patterns ×
orientations × pixels.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from baselines.emc.correlate import Halves
from baselines.emc.expand import DARKEST, Profile
from baselines.emc.maximize import expectation
from baselines.emc.models import Columns, Model
from baselines.emc.posterior import Posterior, Tile
from xraisim.core import rotations
from xraisim.core.errors import ConfigError
from xraisim.core.fourier import radius
from xraisim.core.merge import Accumulator
from xraisim.core.sampling import slice_volume
from xraisim.core.types import Photons, Pixels

_MOST_SAMPLES = 2**29  # orientations × pixels: templates and sums hold two floats for each
_SAMPLES = 2**24  # slice samples put back at once, which bounds the memory
_RIM = 0.1  # of the known pixels: where the share of signal is taken from for those beyond


class DenseEngine:
    """An :class:`baselines.emc.engine.Engine` on the pixels themselves."""

    def __init__(self, pixels: Pixels, columns: Columns, profile: Profile) -> None:
        if not self.fits(columns, pixels):
            count = len(columns) * columns.angles
            raise ConfigError(
                f"the dense engine would hold {count:,} orientations × {len(pixels):,} "
                f'pixels, more than {_MOST_SAMPLES:,}; use engine = "harmonic" or a coarser level'
            )
        self._pixels, self._columns = pixels, columns
        self._matrices = rotations.to_matrix(columns.orientations())
        self._profile = profile
        self._radial = profile.at(pixels.radius)
        self._background = pixels.background if bool((pixels.background > 0).any()) else None

    @staticmethod
    def fits(columns: Columns, pixels: Pixels) -> bool:
        """Say whether templates of all orientations and pixels may be held at once."""
        return len(columns) * columns.angles * len(pixels) <= _MOST_SAMPLES

    def prepare(self, photons: Photons) -> Tensor:
        """Return dense counts."""
        return photons.dense(len(self._pixels)).to(self._pixels.s.device)

    def begin(self, models: list[Model], known: float, fluence: float) -> None:
        """Cut the templates of every orientation."""
        self._inside = self._pixels.count_below(known * (1 + 1e-6))
        inner = self._pixels.first(self._inside)
        rate = torch.cat([self._rates(m, c, inner) for c, m in enumerate(models)])
        self._exposure = rate.sum(1)
        self._share = None
        if self._background is not None:
            lit = fluence * rate
            rate = lit + self._background[: self._inside]
            self._share = lit / rate
        self._log_rate = rate.div_(inner.gain).log_()
        self._prior = self._columns.log_prior([m.share for m in models]).to(rate.device)
        self._photons = rate.new_zeros(len(rate), len(self._pixels))
        self._fluence = rate.new_zeros(len(rate))

    def _rates(self, model: Model, number: int, inner: Pixels) -> Float[Tensor, "R P"]:
        volume, part = model.volume, self._of_class(number)
        flat = volume.values / self._profile.at(radius(volume.grid, volume.spacing)).to(
            volume.values
        )
        cut = slice_volume(flat, self._matrices[part], inner.s, volume.spacing)
        return cut.clamp_min_(DARKEST).mul_(inner.gain * self._radial[: self._inside])

    def _of_class(self, number: int) -> slice:
        part = self._columns.of_class(number)
        return slice(part.start * self._columns.angles, part.stop * self._columns.angles)

    def tiles(
        self, rows: Tensor, fluence: Float[Tensor, "n"], candidates: Int[Tensor, "n K"] | None
    ) -> list[Tile]:
        """Return LL as one product; ``candidates`` take theirs from it."""
        value = product(rows[:, : self._inside], self._log_rate)
        even, odd = self._halves(value.addr_(fluence, self._exposure, alpha=-1))
        prior = self._prior[None]
        if candidates is not None:
            at = candidates.clamp_min(0).long()
            even, odd = (half.gather(2, at.expand(len(half), *at.shape)) for half in (even, odd))
            prior = self._prior[at].masked_fill(candidates < 0, -torch.inf)
        return [Tile(halves=(even, odd), prior=prior, first=0)]

    def _halves(self, values: Float[Tensor, "n KA"]) -> Halves:
        angles = values.view(len(values), -1, self._columns.angles).permute(2, 0, 1)
        first, second = angles.chunk(2)
        return ((first + second) / 2).contiguous(), ((first - second) / 2).contiguous()

    def exposure(self, found: Posterior) -> Float[Tensor, "n"]:
        """Return the photons expected at fluence 1."""
        return expectation(found, [self._halves(self._exposure[None])])

    def signal(self, rows: Tensor, found: Posterior) -> Float[Tensor, "n"]:
        """Return the photons on the known pixels, or those that count for the signal."""
        inner = rows[:, : self._inside]
        if self._share is None:
            return inner.sum(1)
        return expectation(found, [self._halves(inner @ self._share.T)])

    def collect(self, rows: Tensor, fluence: Float[Tensor, "n"], found: Posterior) -> None:
        """Add patterns to the sums of every orientation."""
        weight = self._probability(found)
        self._photons.addmm_(weight.T, rows)
        self._fluence.addmv_(weight.T, fluence)

    def _probability(self, found: Posterior) -> Float[Tensor, "n KA"]:
        if found.entries is not None:
            entries, angles = found.entries, self._columns.angles
            out = self._fluence.new_zeros(len(entries.offsets) - 1, len(self._fluence))
            place = entries.column.long() * angles + entries.angle
            out.index_put_((entries.patterns(), place), entries.weight, accumulate=True)
            return out
        even, odd = found.tiles[0].halves
        return torch.cat([even + odd, even - odd]).div_(2).permute(1, 2, 0).flatten(1)

    def finish(self, merged: list[Accumulator]) -> None:
        """Put the sums back into the volumes."""
        photons = self._photons
        if self._share is not None:
            rim = self._share[:, -max(1, int(_RIM * self._inside)) :].mean(1, keepdim=True)
            beyond = rim.expand(-1, len(self._pixels) - self._inside)
            photons = photons * torch.cat([self._share, beyond], 1)
        weight = self._pixels.gain * self._radial
        for number, into in enumerate(merged):
            part = self._of_class(number)
            for rows in torch.arange(part.start, part.stop).split(_SAMPLES // len(weight) + 1):
                exposure = self._fluence[rows, None] * weight
                into.add_slices(photons[rows], exposure, self._matrices[rows], self._pixels.s)


def product(counts: Float[Tensor, "n P"], logs: Float[Tensor, "R P"]) -> Float[Tensor, "n R"]:
    """Return counts · logsᵀ in float32; on CUDA from half precision, summed in float32.

    Counts up to 2,048 are exact in half precision; logs are taken relative to their mean over the
    orientations, which shifts a pattern's products alike and is added back in float32.
    """
    if counts.device.type != "cuda":
        return counts @ logs.T
    mean = logs.mean(0)
    centred = torch.mm(counts.half(), (logs - mean).half().T, out_dtype=torch.float32)
    return centred.add_((counts @ mean)[:, None])
