"""Other people's pattern files, read and written: one module per format, found by content."""

from xraisim.formats.registry import FORMATS, open_source, recognise, target_format

__all__ = ["FORMATS", "open_source", "recognise", "target_format"]
