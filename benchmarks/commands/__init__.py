"""The commands of ``xrai-bench``."""
