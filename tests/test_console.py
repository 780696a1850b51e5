"""The entry point that all commands share: exit codes, one message, no traceback."""

import errno
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from xraisim import console
from xraisim.core.errors import UserError

Invoke = Callable[..., int]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run a small command of our own and return its exit code."""
    app = console.make_app("A test command.", "test fine")

    @app.command()
    def fine(count: int = 1) -> None:
        console.out.print(count)

    @app.command()
    def wrong() -> None:
        raise UserError("found [3 heads], expected 2")

    @app.command()
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "volume.h5")

    @app.command()
    def missing(path: str) -> None:
        Path(path).read_bytes()

    @app.command()
    def broken() -> None:
        raise RuntimeError("a mistake of ours")

    @app.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    def run(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["test", *arguments])
        try:
            console.entry_point(app)()
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 0
        return 0

    return run


def test_success_is_zero(invoke: Invoke, capsys: pytest.CaptureFixture) -> None:
    assert invoke("fine", "--count", "3") == 0
    assert capsys.readouterr().out == "3\n"


def test_version_needs_no_command(invoke: Invoke, capsys: pytest.CaptureFixture) -> None:
    assert invoke("--version") == 0
    assert capsys.readouterr().out.strip()[0].isdigit()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["wrong"], "error: found [3 heads], expected 2"),
        (["full"], "error: volume.h5: No space left on device"),
        (["fine", "--count", "x"], "Invalid value for '--count'"),
        (["fin"], "No such command 'fin'"),
        (["fine", "--cout", "3"], "No such option"),
        ([], "Usage"),
    ],
)
def test_bad_input_is_two_with_one_message(
    invoke: Invoke, capsys: pytest.CaptureFixture, arguments: list[str], message: str
) -> None:
    assert invoke(*arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.out + captured.err
    assert "Traceback" not in captured.err


def test_debug_shows_where_it_happened(invoke: Invoke) -> None:
    with pytest.raises(UserError):
        invoke("wrong", "--debug")


def test_our_own_mistakes_are_not_dressed_up(invoke: Invoke) -> None:
    with pytest.raises(RuntimeError):
        invoke("broken")


def test_an_interrupt_has_its_usual_code(invoke: Invoke) -> None:
    assert invoke("interrupted") == 130


def test_progress_off_a_terminal_prints_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(console, "_LINE_INTERVAL_S", 0.0)
    with console.progress("patterns", 2000) as advance:
        advance(500)
        advance(500, "half way")
    assert "patterns: 1,000 of 2,000  half way" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["/data/[run 3]/a", "a[/]b", "[bold]x", "[red]:bug:[/red]", "\\[x"]
)
def test_brackets_are_no_markup_anywhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, text: str
) -> None:
    monkeypatch.setattr(console, "_LINE_INTERVAL_S", 0.0)
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    console.out.print(table, text)
    console.say(text, head=text)
    with console.progress(text, 2) as advance:
        advance(1, text)
    captured = capsys.readouterr()
    assert captured.out.count(text) == 4
    assert captured.err.count(text) == 4


def test_a_bar_takes_brackets_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(
        file=io.StringIO(), force_terminal=True, width=120, markup=False, emoji=False
    )
    monkeypatch.setattr(console, "err", terminal)
    with console.progress("a[/]b", 2) as advance:
        advance(1, "[/c]")
    assert "a[/]b" in terminal.file.getvalue()


def test_an_error_about_a_name_with_brackets(
    invoke: Invoke, capsys: pytest.CaptureFixture, tmp_path
) -> None:
    assert invoke("missing", str(tmp_path / "[/red] a[0].h5")) == 2
    assert "[/red] a[0].h5: No such file or directory" in capsys.readouterr().err
