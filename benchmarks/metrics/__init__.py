"""The metrics of the benchmark: each file here registers one, or a family that shares a curve.

A new one is a new file: what is registered is in records, in the leaderboard, on the HTML page and
in ``xrai-bench check``.
"""

from benchmarks.discovery import import_modules
from benchmarks.metrics.registry import METRICS, Metric, ShellCurve, crossing, register

__all__ = ["METRICS", "Metric", "ShellCurve", "crossing", "register"]

# The order of columns; whatever else is here comes after.
import_modules(
    __name__, first=("icc_truth", "fsc_truth", "prtf", "icc_truth_outermost", "pose_error")
)
