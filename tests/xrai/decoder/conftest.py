"""The particle that the closed form is tried on."""

from tests.xraisim.core.closed_form.conftest import particle

__all__ = ["particle"]
