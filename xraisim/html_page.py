"""What the HTML pages share: templates, one base page, figures inside, so that a page is one file.

A template is named by its package and its path there, such as ``xraisim/inspection/page.html.j2``,
and may extend ``xraisim/page.html.j2``.
"""

import base64
import io
import re
from importlib.resources import files
from typing import Any

import jinja2
import matplotlib as mpl
from markupsafe import Markup
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from xraisim import __version__

_RASTER_DPI = 150  # of images inside an SVG


def render(name: str, **values: Any) -> str:
    """Return a template filled in; text is escaped, and a value that is missing is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(name).render(version=__version__, **values)


def _read(name: str) -> str:
    package, _, path = name.partition("/")
    return files(package).joinpath(path).read_text(encoding="utf-8")


def embed(figure: Figure, form: str) -> str:
    """Return a figure as a ``data:`` address; ``form`` is ``"svg"`` or ``"png"``."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=110)
    kind = "svg+xml" if form == "svg" else form
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def inline(figure: Figure, name: str) -> Markup:
    """Return a figure as SVG markup in which black is the colour of the page's text.

    So it reads on light and dark pages alike: white backgrounds become transparent. Text stays
    text, in the page's font. ``name``, a word that no other figure of the page has, goes in front
    of the ids that are needed.
    """
    figure.patch.set_visible(False)
    for axes in figure.axes:
        if to_hex(axes.get_facecolor()) == "#ffffff":
            axes.patch.set_alpha(0)
    buffer = io.StringIO()
    unstamped = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", dpi=_RASTER_DPI, metadata=unstamped)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", svg)
    svg = re.sub(r'(?<= id=")|(?<=url\(#)|(?<=href="#)', f"{name}-", svg)
    svg = svg.replace("#000000", "currentColor")
    # One family for all: the page's own, not the one that matplotlib measured with.
    return Markup(re.sub(r'font-family: [^;"]*', "font-family: inherit", svg))
