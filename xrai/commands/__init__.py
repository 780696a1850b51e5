"""The commands of ``xrai``."""
