"""X-RAI: online, amortised reconstruction of single-particle X-ray diffraction.

What is listed in ``__all__`` is public, and loaded when it is asked for.
"""

from typing import TYPE_CHECKING

from xraisim.public import lazy  # and xraisim before torch: it sets how threads wait

if TYPE_CHECKING:
    from xrai.config import TrainConfig as TrainConfig
    from xrai.encoder.config import EncoderConfig as EncoderConfig
    from xrai.infer import find_poses as find_poses
    from xrai.train import reconstruct as reconstruct
    from xrai.train import resume as resume

__getattr__, __all__ = lazy(
    "xrai",
    {
        "EncoderConfig": "xrai.encoder.config",
        "TrainConfig": "xrai.config",
        "find_poses": "xrai.infer",
        "reconstruct": "xrai.train",
        "resume": "xrai.train",
    },
)
