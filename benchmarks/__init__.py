"""The benchmark: simulate, reconstruct with every method, phase, score, keep the leaderboard."""

import xraisim  # noqa: F401  (before torch: it sets how threads wait)
