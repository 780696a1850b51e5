"""Packages whose modules register what they define: importing the package registers it all."""

import importlib
import pkgutil
from collections.abc import Sequence


def import_modules(package: str, first: Sequence[str]) -> None:
    """Import every module of a package that is being imported, those named ``first`` first."""
    path = importlib.import_module(package).__path__
    others = sorted({module.name for module in pkgutil.iter_modules(path)} - set(first))
    for name in (*first, *others):
        importlib.import_module(f"{package}.{name}")
