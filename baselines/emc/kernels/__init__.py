"""Fused loops of EMC on the CPU; each has a plain reference beside the function that calls it."""
