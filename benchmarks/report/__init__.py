"""The page of records: interactive, one file that needs no network; and a picture of the runs."""

from benchmarks.report.page import write
from benchmarks.report.picture import write_picture
from benchmarks.report.shown import Shown, load, with_views

__all__ = ["Shown", "load", "with_views", "write", "write_picture"]
