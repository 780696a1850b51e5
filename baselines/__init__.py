"""Classical algorithms: expand-maximize-compress (EMC), single-hit selection, phase retrieval.

What is listed in ``__all__`` is public, and loaded when it is asked for.
"""

from typing import TYPE_CHECKING

from xraisim.public import lazy  # and xraisim before torch: it sets how threads wait

if TYPE_CHECKING:
    from baselines import classify as classify
    from baselines import emc as emc
    from baselines.classify import ClassifyConfig as ClassifyConfig
    from baselines.emc import EmcConfig as EmcConfig
    from baselines.phasing.config import PhasingConfig as PhasingConfig
    from baselines.phasing.run import PhasingResult as PhasingResult
    from baselines.phasing.run import phase as phase

__getattr__, __all__ = lazy(
    "baselines",
    {
        "ClassifyConfig": "baselines.classify",
        "EmcConfig": "baselines.emc",
        "PhasingConfig": "baselines.phasing.config",
        "PhasingResult": "baselines.phasing.run",
        "phase": "baselines.phasing.run",
        "classify": "baselines.classify:",
        "emc": "baselines.emc:",
    },
)
