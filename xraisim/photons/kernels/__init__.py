"""Compiled loops of the photon draw: look-ups in a volume, Poisson processes, sparse rows."""
