"""Compiled loops of shapes and solvent."""
