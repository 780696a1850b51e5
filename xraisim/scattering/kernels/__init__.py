"""Compiled loops of the amplitudes and intensities."""
