"""Classes of patterns without a volume: averages in the detector plane, to select single hits."""

from baselines.classify.config import ClassifyConfig
from baselines.classify.run import classify

__all__ = ["ClassifyConfig", "classify"]
