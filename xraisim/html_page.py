"""What the HTML pages share: templates, one base page, figures embedded so that a page is one file.

A template is named by its package and its path there, such as ``xraisim/inspection/page.html.j2``,
and may extend ``xraisim/page.html.j2``.
"""

import base64
import io
from importlib.resources import files
from typing import Any

import jinja2
from matplotlib.figure import Figure

from xraisim import __version__


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
