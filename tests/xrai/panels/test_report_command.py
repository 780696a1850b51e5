"""The command, and a page served beside a run."""

import urllib.request

import pytest

from xrai.commands import report as command
from xraisim import console
from xraisim.report import command as shared


@pytest.fixture
def invoke(monkeypatch):
    app = console.make_app("A test command.", "test report")
    app.command("report")(command.report_command)
    app.command("other")(lambda: None)

    def run(*arguments) -> int:
        monkeypatch.setattr("sys.argv", ["xrai", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            console.entry_point(app)()
        return stopped.value.code

    return run


def test_it_writes_a_page(invoke, begun_run, tmp_path, capsys):
    assert invoke("report", begun_run) == 0
    assert "Random starts" in (begun_run / "report.html").read_text()
    assert invoke("report", begun_run, "--out", tmp_path / "b.html") == 0
    assert (tmp_path / "b.html").exists()
    assert "report in" in capsys.readouterr().err


def test_what_is_no_run_is_refused(invoke, tmp_path, capsys):
    assert invoke("report", tmp_path / "nowhere") == 2
    assert "xrai train PATTERNS --out" in capsys.readouterr().err


def test_serving_ends_at_an_interrupt(invoke, begun_run, monkeypatch, capsys):
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shared, "_wait", interrupt)
    assert invoke("report", begun_run, "--serve", "--port", "0") == 130
    assert "until Ctrl-C" in capsys.readouterr().err


def test_a_run_is_served_if_wanted(begun_run, capsys):
    with command.served(False, begun_run, 0, "127.0.0.1"):
        assert capsys.readouterr().err == ""
    with command.served(True, begun_run, 0, "127.0.0.1"):
        said = capsys.readouterr().err
        address = said.split("live report at ")[1].strip()
        with urllib.request.urlopen(f"{address}metrics.json", timeout=60) as answer:
            assert answer.status == 200
