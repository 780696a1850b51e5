"""Public names of a package that are loaded when they are asked for, not before."""

import importlib
from collections.abc import Callable, Mapping


def lazy(package: str, names: Mapping[str, str]) -> tuple[Callable[[str], object], list[str]]:
    """Return ``__getattr__`` and ``__all__`` of a package whose public ``names`` lie elsewhere.

    ``names``: from each name to the module that defines it; one that ends with a colon is what is
    meant. Importing the package then costs nothing but itself (PEP 562).
    """

    def load(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(names[name].removesuffix(":"))
        return module if names[name].endswith(":") else getattr(module, name)

    return load, sorted(names)
