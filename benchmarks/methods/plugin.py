"""Methods of other packages: whatever an entry point of the group ``xrai.methods`` names.

    [project.entry-points."xrai.methods"]
    theirs = "their_package.method"

What it names (a module, an object, or a class, which is called without arguments) has what
:class:`MethodPlugin` has. It is imported when the method is asked for, not before.
"""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from benchmarks.methods.registry import METHODS, NAME, Method, register
from benchmarks.task import Task
from xraisim.console import progress
from xraisim.core import config as configuration
from xraisim.core.errors import ConfigError

GROUP = "xrai.methods"
_STEPS = 100

#: called with the share that is done, 0 to 1, and a remark to show beside it
Progress = Callable[..., None]


class MethodPlugin(Protocol):
    """What a package gives to have its method in the benchmark.

    ``name``: that of the entry point. ``Config``: the dataclass of its settings, which the task
    gives in ``[methods.NAME]``: numbers, texts, tuples of them, and dataclasses of these, each with
    a default. ``Config`` and :meth:`missing` may be left out.
    """

    name: str
    Config: type

    def reconstruct(
        self, patterns: Path, out: Path, config: Any, seed: int, progress: Progress
    ) -> None:
        """Reconstruct a pattern file and leave a result in the directory ``out``, which is there.

        ``seed``: the method's, whatever that of the data. ``progress``: to be called now and then
        with the share that is done, 0 to 1, as ``progress(0.4, "round 2")``.
        """

    def missing(self) -> str:
        """Return why the method cannot run on this machine, empty if it can."""


@dataclass(frozen=True)
class NoSettings:
    """The settings of a method that has none."""


@dataclass(frozen=True, kw_only=True)
class _Found:
    """An entry point, imported: its ``method``, or why it is ``broken``."""

    method: Any = None
    config: type = NoSettings
    broken: str = ""


def register_plugins(found: Iterable[EntryPoint]) -> None:
    """Register what the entry points name.

    A name that is taken is that of who has it; the other one is registered under its distribution's
    name and its own, and says why it cannot be used.
    """
    for entry in found:
        distribution = entry.dist.name if entry.dist else "?"
        if entry.name in METHODS:
            _refuse(f"{distribution}:{entry.name}", entry, "another method has its name")
        elif not NAME.fullmatch(entry.name):
            what = f"its name is {entry.name!r}; expected letters, digits, '.', '_' and '-'"
            _refuse(f"{distribution}:{entry.name}", entry, what)
        else:
            register(_method(entry))


def _refuse(name: str, entry: EntryPoint, why: str) -> None:
    reason = f"{_described(entry)}: {why}"
    register(Method(name=name, reconstruct=lambda *_: None, broken=lambda: reason))


def _method(entry: EntryPoint) -> Method:
    return Method(
        name=entry.name,
        section="methods",
        reconstruct=partial(_reconstruct, entry),
        missing=partial(_missing, entry),
        completed=partial(_completed, entry),
        broken=lambda: _load(entry).broken,
        versions=lambda: {entry.dist.name: entry.dist.version} if entry.dist else {},
    )


@cache
def _load(entry: EntryPoint) -> _Found:
    """Import what an entry point names; whatever is wrong with it is said, not raised."""
    try:
        method = entry.load()
        method = method() if isinstance(method, type) else method
    except (Exception, SystemExit) as error:
        what = f"{_described(entry)} cannot be used: {type(error).__name__}: {error}"
        return _Found(broken=" ".join(what.split()))
    settings = getattr(method, "Config", NoSettings)
    wrong = ""
    if not callable(getattr(method, "reconstruct", None)):
        wrong = "it has no function reconstruct(patterns, out, config, seed, progress)"
    elif getattr(method, "name", None) != entry.name:
        named = getattr(method, "name", None)
        wrong = f"it says that its name is {named!r}; its entry point says {entry.name!r}"
    elif not (isinstance(settings, type) and dataclasses.is_dataclass(settings)):
        wrong = f"its Config is {settings!r}; expected a dataclass"
    if wrong:
        return _Found(broken=f"{_described(entry)} cannot be used: {wrong}")
    return _Found(method=method, config=settings)


def _described(entry: EntryPoint) -> str:
    made_by = f" of {entry.dist.name} {entry.dist.version}" if entry.dist else ""
    return f"the plug-in {entry.value}{made_by}"


def _missing(entry: EntryPoint, task: Task) -> str:
    """Return why a plug-in cannot run here, empty if it can or if it is broken."""
    found = _load(entry)
    try:
        return "" if found.broken else str(getattr(found.method, "missing", str)())
    except Exception as error:
        return f"{_described(entry)} cannot tell: {type(error).__name__}: {error}"


def _completed(entry: EntryPoint, task: Task) -> Task:
    """Return the task with all settings of this plug-in, and of no other."""
    if _load(entry).broken:
        return task
    whole = configuration.to_mapping(_settings(entry, task))
    return dataclasses.replace(task, methods={entry.name: whole})


def _settings(entry: EntryPoint, task: Task) -> Any:
    """Return the plug-in's settings; raises :class:`ConfigError` that names the wrong one."""
    given, table = task.methods.get(entry.name, {}), f"methods.{entry.name}"
    try:
        return configuration.from_mapping(_load(entry).config, given, f"{table}.")
    except ConfigError:
        raise
    except ValueError as error:  # of the plug-in's own checks
        raise ConfigError(f"[{table}]: {error}") from error


def _reconstruct(entry: EntryPoint, task: Task, patterns: Path, directory: Path, seed: int) -> None:
    settings, method = _settings(entry, task), _load(entry).method
    with progress(f"{entry.name} (%)", _STEPS) as advance:
        done = 0

        def tell(share: float, remark: str = "") -> None:
            nonlocal done
            now = max(done, min(_STEPS, round(_STEPS * share)))
            advance(now - done, remark)
            done = now

        method.reconstruct(patterns, directory, settings, seed, tell)


register_plugins(entry_points(group=GROUP))
