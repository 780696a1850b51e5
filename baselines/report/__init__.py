"""A page about an EMC run: its progress, volumes, poses, and patterns beside their predictions."""

from baselines.report.page import write_report

__all__ = ["write_report"]
