"""The benchmark: simulate, reconstruct with every method, phase, score, keep the leaderboard."""
