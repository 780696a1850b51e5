"""A page about a run of ``xrai train``, as a file or served while the run goes on."""

from xrai.report.page import write_report
from xrai.report.server import live

__all__ = ["live", "write_report"]
