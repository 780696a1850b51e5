"""The docs as a site: ``sphinx-build -W docs site``, with the extra ``docs`` installed."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "X-RAI"
author = copyright = "The X-RAI developers"  # noqa: A001  # what Sphinx calls it
version = release = version_of("x-rai")

extensions = ["myst_parser", "sphinx.ext.autodoc", "site_directives"]
exclude_patterns = ["images"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"X-RAI {version}"
html_copy_source = False

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
