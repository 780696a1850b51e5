"""What the pages take from the code when the site is built.

``commands:: xrai.cli``: a console script and each of its commands, as ``--help`` says them.
``settings:: xrai.TrainConfig``: what its tables mean, with defaults and ranges.
``public:: xrai``: the public names of a package, from their docstrings.
``records:: one_pass_bright …``: date, machine and commit of records in ``benchmarks``.
``tasks:: benchmarks.suites``: the suites of tasks, with what each asks and what its tasks state.
"""

import dataclasses
import importlib
import inspect
import json
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_type_hints

import tomli_w
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.main import get_command

from xraisim.core.config import to_mapping
from xraisim.core.settings import Settings, rules

_ROOT = Path(__file__).parent.parent
_WIDTH, _WIDTH_OF_LISTS = 88, 130


class _Written(SphinxDirective):
    """A directive whose content is reStructuredText that is written when the site is built."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return what the text of :meth:`write` is as nodes."""
        text = "\n".join(self.write(self.arguments[0]))
        return self.parse_text_to_nodes(text, allow_section_headings=True)

    def write(self, argument: str) -> Iterator[str]:
        """Yield lines of reStructuredText."""
        raise NotImplementedError


def _heading(title: str, line: str = "-") -> list[str]:
    return ["", title, line * len(title), ""]


def _block(language: str, text: str) -> list[str]:
    return ["", f".. code-block:: {language}", "", *(f"   {line}" for line in text.split("\n")), ""]


class Commands(_Written):
    """A console script and its commands."""

    def write(self, argument: str) -> Iterator[str]:
        """Yield the help text of the script in module ``argument``, then those of its commands."""
        scripts = entry_points(group="console_scripts")
        script = next(one.name for one in scripts if one.value == f"{argument}:main")
        group: Any = get_command(importlib.import_module(argument).app)
        context = group.make_context(script, [], resilient_parsing=True)
        yield from _heading(script)
        yield from _block("text", _help(group, context, _WIDTH_OF_LISTS))
        for name in group.list_commands(context):
            _, command, _ = group.resolve_command(context, [name])
            yield from _heading(f"{script} {name}", "~")
            yield from _block(
                "text", _help(command, type(context)(command, info_name=name, parent=context))
            )


def _help(command: Any, context: Any, width: int = _WIDTH) -> str:
    command.rich_markup_mode = None  # plain text, without frames
    context.terminal_width = context.max_content_width = width
    return str(command.get_help(context)).strip().replace(f"{_ROOT}/", "")


class SettingsOf(_Written):
    """What a class of settings means, table by table, and its defaults as TOML."""

    def write(self, argument: str) -> Iterator[str]:
        """Yield docstring and defaults of the class ``argument`` and of each of its tables."""
        package, _, name = argument.rpartition(".")
        for table, settings in _tables(getattr(importlib.import_module(package), name)()):
            if table:
                yield from ["", f"``[{table}]``", ""]
            yield from _plain(inspect.getdoc(settings) or "")
            yield from _block("toml", _values(table, settings))


def _tables(settings: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    yield place, settings
    for name, value in vars(settings).items():
        if dataclasses.is_dataclass(value):
            yield from _tables(value, f"{place}.{name}".strip("."))


def _values(table: str, settings: Any) -> str:
    hints = get_type_hints(type(settings), include_extras=True)
    lines, arrays = [f"[{table}]"] if table else [], []
    for name, value in vars(settings).items():
        if dataclasses.is_dataclass(value):
            continue  # a table of its own
        if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            arrays.append("\n" + _toml(name, [to_mapping(one) for one in value]))
            continue
        allowed = "; ".join(str(rule) for rule in rules(hints[name]))
        shown = f"# {name} is not set" if value is None else _toml(name, value)
        lines.append(shown + (f"  # {allowed}" if allowed else ""))
    return "\n".join([*lines, *arrays])


def _toml(name: str, value: Any) -> str:
    return tomli_w.dumps({name: value}).strip()


class Public(_Written):
    """The public names of a package."""

    def write(self, argument: str) -> Iterator[str]:
        """Yield autodoc directives for what ``argument`` lists in ``__all__``."""
        package = importlib.import_module(argument)
        values = {name: getattr(package, name) for name in package.__all__}
        modules_last = sorted(values, key=lambda one: (inspect.ismodule(values[one]), one.lower()))
        for name in modules_last:
            value = values[name]
            if inspect.ismodule(value):
                yield from _module(f"{argument}.{name}", value, package)
            else:
                kind = "class" if inspect.isclass(value) else "function"
                yield from [f".. auto{kind}:: {argument}.{name}", ""]


def _module(name: str, module: Any, package: Any) -> Iterator[str]:
    own = [k for k, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__]
    names = getattr(module, "__all__", [one for one in own if not one.startswith("_")])
    yield from _heading(name)
    yield from [f".. py:module:: {name}", "", *_plain(inspect.getdoc(module) or ""), ""]
    for one in names:
        if getattr(package, one, None) is getattr(module, one):
            continue  # listed by the package
        kind = "class" if inspect.isclass(getattr(module, one)) else "function"
        yield from [f".. auto{kind}:: {name}.{one}", ""]


class Records(_Written):
    """When, where and of which commit something was measured."""

    def write(self, argument: str) -> Iterator[str]:
        """Yield a table of the records whose names are in ``argument``."""
        yield from [".. list-table::", "   :header-rows: 1", ""]
        yield from _row("record", "date", "machine", "commit")
        for name in argument.split():
            found = list(_ROOT.glob(f"benchmarks/**/records/**/{name}.json"))
            if len(found) != 1:
                raise self.error(f"{len(found)} records are named {name}; expected one")
            record = json.loads(found[0].read_text(encoding="utf-8"))
            hardware = record["hardware"]
            machine = f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory_gib']} GiB"
            commit = f"``{record.get('commit', 'not kept')}``"
            yield from _row(
                f"``{found[0].relative_to(_ROOT)}``", record["date"][:10], machine, commit
            )


class Tasks(_Written):
    """The suites of tasks."""

    def write(self, argument: str) -> Iterator[str]:
        """Yield question, command and table of every suite in the module ``argument``."""
        suites = importlib.import_module(argument)
        for name, question in suites.SUITES.items():
            yield from [*_heading(name), question]
            yield from _block("sh", f"xrai-bench run --suite {name}")
            yield from [".. list-table::", "   :header-rows: 1", ""]
            for cells in [suites.HEADINGS, *suites.rows(name)]:
                yield from _row(*cells)


def _row(*cells: str) -> list[str]:
    return [f"   {'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(cells)]


def _plain(docstring: str) -> list[str]:
    """Return the lines of a docstring in which bars are bars: |s| is no substitution."""
    parts = re.split(r"(``.*?``)", docstring, flags=re.DOTALL)
    return "".join(p if p.startswith("``") else p.replace("|", r"\|") for p in parts).splitlines()


def _plain_in_place(*event: Any) -> None:
    lines = event[-1]
    lines[:] = _plain("\n".join(lines))


def _short_signature(
    app: Sphinx, what: str, name: str, value: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Return the signature to show of settings and protocols, None: as it is."""
    if what == "class" and issubclass(value, Settings):
        return "(**settings)", ""
    if what == "class" and getattr(value, "_is_protocol", False):
        return "", ""
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("commands", Commands)
    app.add_directive("settings", SettingsOf)
    app.add_directive("public", Public)
    app.add_directive("records", Records)
    app.add_directive("tasks", Tasks)
    app.connect("autodoc-process-docstring", _plain_in_place)
    app.connect("autodoc-process-signature", _short_signature)
    return {"parallel_read_safe": True}
