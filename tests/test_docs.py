"""What the docs say to type exists, and what they link to."""

import importlib
import re
import shlex
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from typer.main import get_command

ROOT = Path(__file__).parent.parent
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "LEADERBOARD.md"))]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
SCRIPTS = {one.name: one.module for one in entry_points(group="console_scripts")}
NAMES = ("xrai-sim", "xrai", "xrai-baseline", "xrai-bench")
PATHS = [str(path.relative_to(ROOT)) for path in PAGES]


def _commands(text: str) -> list[list[str]]:
    """Return the lines of a page's shell blocks that call one of our commands, as words."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    parts = [part for line in lines for part in line.split("&&")]
    found = []
    for part in parts:
        words = shlex.split(part, comments=True)
        at = next((i for i, word in enumerate(words) if Path(word).name in NAMES), None)
        if at is not None:
            found.append([Path(words[at]).name, *words[at + 1 :]])
    return found


def _unknown(script: str, words: list[str]) -> list[str]:
    """Return what of a command line its command does not have."""
    group = get_command(importlib.import_module(SCRIPTS[script]).app)
    context = group.make_context(script, [], resilient_parsing=True)
    if words[0] not in group.list_commands(context):
        return [words[0]]
    _, command, _ = group.resolve_command(context, words)
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    options = [word.partition("=")[0] for word in words[1:] if word.startswith("--")]
    return [option for option in options if option not in {*known, "--help", "--debug"}]


@pytest.mark.parametrize("page", PATHS)
def test_commands_exist(page: str) -> None:
    for script, *words in _commands((ROOT / page).read_text()):
        assert not _unknown(script, words), f"{page}: {script} {' '.join(words)}"


def test_a_command_that_does_not_exist_is_found() -> None:
    (words,) = _commands("```sh\n.venv/bin/xrai train p.h5 \\\n  --nothing 1   # --more\n```\n")
    assert _unknown(words[0], words[1:]) == ["--nothing"]
    assert _unknown("xrai", ["fly"]) == ["fly"]


@pytest.mark.parametrize("page", PATHS)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), f"{page}: {target}"
