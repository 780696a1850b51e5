"""Two encoders that learn the same: patterns as rings and azimuths, and patterns as images."""

import torch
from torch import Tensor

from benchmarks.studies.encoder.head_loss import encoder_loss
from xrai.encoder import EncoderConfig
from xrai.encoder.image import ImageEncoder
from xrai.encoder.training import EncoderTrainer, Synthesis
from xraisim.core import rotations
from xraisim.core.random import generator
from xraisim.core.types import Pixels, Volume

_STEPS = 25  # learned at a time
_HEADS, _CHANNELS, _LEARNING_RATE = 8, 16, 2e-3
_ROWS = 256


class PolarForm:
    """The encoder of the reconstruction, with its teacher."""

    def __init__(self, volume: Volume, pixels: Pixels, config: EncoderConfig) -> None:
        self._volume, self._pixels = volume, pixels
        self._teacher = EncoderTrainer(pixels, config, seed=0)

    @property
    def steps(self) -> int:
        """Batches learned so far."""
        return self._teacher.steps

    def learn(self, counts: Tensor, pose: Tensor, fluence: Tensor) -> None:
        """Learn some batches."""
        self._teacher.learn(self._volume, self._pixels, counts, pose, fluence, _STEPS)

    def propose(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Return hypotheses [n, H, 4] and the error stated for the first [n]."""
        found = self._teacher.encoder.propose(counts)
        return found.heads, found.error_deg


class ImageForm:
    """Convolutions on the image and eight S²×S² heads, of which the best learns.

    The same batches as the other's: measured and synthesised patterns in the same shares.
    """

    def __init__(self, volume: Volume, pixels: Pixels, config: EncoderConfig) -> None:
        self._volume, self._pixels, self._config = volume, pixels, config
        self._random = generator(0, "image")
        torch.manual_seed(0)
        self._encoder = ImageEncoder(pixels, _CHANNELS, _HEADS)
        self._optimizer = torch.optim.Adam(self._encoder.parameters(), lr=_LEARNING_RATE)
        self.steps = 0

    def learn(self, counts: Tensor, pose: Tensor, fluence: Tensor) -> None:
        """Learn some batches."""
        if self.steps == 0:
            self._encoder.image.calibrate(counts)
        synthesise = Synthesis(self._volume, self._pixels, len(self._pixels), fluence)
        made = round(self._config.batch * self._config.synthetic)
        for _ in range(_STEPS):
            size = (self._config.batch - made,)
            drawn = torch.randint(len(counts), size, generator=self._random)
            patterns, at = synthesise(made, self._random)
            image = self._encoder.image(torch.cat([counts[drawn], patterns]))
            target = rotations.to_matrix(torch.cat([pose[drawn], at]))
            heads, logits = self._encoder(image)
            loss = encoder_loss(heads, logits, target)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            self.steps += 1

    def propose(self, counts: Tensor) -> tuple[Tensor, None]:
        """Return hypotheses [n, H, 4]; this encoder does not state an error."""
        return torch.cat([self._encoder.propose(part)[0] for part in counts.split(_ROWS)]), None
