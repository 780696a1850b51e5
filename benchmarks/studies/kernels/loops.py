"""Which compiled loops the code calls: read from the sources, so that none can be forgotten.

A loop is a function under ``compiled``. Those that only other loops call are pieces of these.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("xraisim", "xrai", "baselines")


def called_loops(root: Path) -> set[str]:
    """Return the full names of the loops that uncompiled code of the checkout ``root`` names."""
    trees = {
        ".".join(path.relative_to(root).with_suffix("").parts): ast.parse(text)
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
        # Loops and their decorator lie in folders of this name.
        if "kernels" in (text := path.read_text("utf-8"))
    }
    loops = {f"{module}.{name}" for module, tree in trees.items() for name in _compiled(tree)}
    return {name for module, tree in trees.items() for name in _named(module, tree)} & loops


def _compiled(tree: ast.Module) -> set[str]:
    """Return the module's functions under ``@compiled``."""
    return {node.name for node in tree.body if _is_compiled(node)}  # type: ignore[attr-defined]


def _is_compiled(node: ast.stmt) -> bool:
    if not isinstance(node, ast.FunctionDef):
        return False
    under = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    return any(isinstance(d, ast.Name) and d.id == "compiled" for d in under)


def _named(module: str, tree: ast.Module) -> Iterator[str]:
    """Yield the full name of everything that the module's uncompiled code names."""
    stands_for = {name: f"{module}.{name}" for name in _compiled(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for one in node.names:
                stands_for[one.asname or one.name] = f"{node.module}.{one.name}"
    for statement in tree.body:
        if _is_compiled(statement):
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and node.id in stands_for:
                yield stands_for[node.id]
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                yield f"{stands_for.get(node.value.id, node.value.id)}.{node.attr}"
