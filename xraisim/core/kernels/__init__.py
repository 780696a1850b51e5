"""Compiled loops of the core, and how every package's are compiled."""
