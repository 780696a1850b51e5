"""Compiled loops of EMC."""
