"""Commands whose modules are imported when they are called, and not before.

Contexts and commands are click's, which typer may bring along as its own: they have no type here.
"""

import ast
import importlib
import importlib.util
from pathlib import Path
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup


class LazyGroup(TyperGroup):
    """A command group of functions that lie elsewhere: ``sources``, names to ``module:function``.

    Its help shows what their docstrings say, read without running their modules.
    """

    sources: ClassVar[dict[str, str]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, those of ``sources`` first."""
        return [*self.sources, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, of ``sources`` with nothing but its name and help."""
        if cmd_name not in self.sources:
            return super().get_command(ctx, cmd_name)
        return TyperCommand(cmd_name, help=_docstring(self.sources[cmd_name]))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Return the command that is called, whole."""
        if args and args[0] in self.sources:
            return args[0], _loaded(args[0], self.sources[args[0]]), args[1:]
        return super().resolve_command(ctx, args)


def _loaded(name: str, source: str) -> Any:
    module, _, function = source.partition(":")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    app.command(name)(getattr(importlib.import_module(module), function))
    return typer.main.get_command(app)


def _docstring(source: str) -> str:
    """Return the docstring of ``module:function`` from its source."""
    module, _, function = source.partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return next(ast.get_docstring(node) or "" for node in found if node.name == function)
