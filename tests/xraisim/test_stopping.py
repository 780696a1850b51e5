"""Told to stop, a process says what is kept and how to go on, and ends with the right status."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from xraisim import stopping
from xraisim.core.errors import DiskError
from xraisim.files import checkpoint
from xraisim.stopping import Stopped

SIGNALS = pytest.mark.parametrize("number", stopping.SIGNALS, ids=lambda one: one.name)

_SCRIPT = """
import ctypes, signal, sys, time
from xraisim import console, stopping
app = console.make_app("A test command.", "none")

def ready():
    print("ready", flush=True)

@app.command()
def plain():
    with stopping.keeping(lambda: "3 patterns are kept; go on with " + stopping.again("--resume")):
        ready()
        time.sleep(60)

@app.command()
def bare():
    ready()
    time.sleep(60)

@app.command()
def later():
    with stopping.deferred():
        ready()
        while not stopping.told():
            time.sleep(0.01)
        stopping.take_time()
        time.sleep(3)
        print("written", flush=True)
        stopping.if_told()

@app.command()
def deaf():
    with stopping.keeping(lambda: "all is kept"), stopping.deferred():
        ready()
        time.sleep(60)
        time.sleep(60)

@app.command()
def replaced():
    with stopping.keeping(lambda: "all is kept"):
        try:
            ready()
            time.sleep(60)
        finally:
            raise RuntimeError("unexpected pos 269184 vs 269104")

@app.command()
def swallowed():
    @ctypes.CFUNCTYPE(None)
    def callback():
        ready()
        time.sleep(60)

    with stopping.keeping(lambda: "all is kept"):
        callback()
        time.sleep(60)

@app.command()
def ignoring():
    ready()
    time.sleep(2)

console.entry_point(app)()
"""


@pytest.fixture
def start(repository: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Return the function that starts a command of the script and waits until it is ready."""
    started = []

    def run(*arguments: str, before: str = "") -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", before + _SCRIPT, *arguments], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {
                "PYTHONPATH": str(repository)},
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@SIGNALS
def test_one_message_and_the_status_of_the_signal(start, number):
    process = start("plain", "--debug")
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert f"stopped by {number.name}; 3 patterns are kept; go on with `-c plain --debug" in said
    assert said.count("\n") == 1


@SIGNALS
def test_without_a_message_of_its_own(start, number):
    process = start("bare")
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert f"stopped by {number.name}; files under their final names are whole" in said


@SIGNALS
@pytest.mark.parametrize("command", ["replaced", "swallowed"])
def test_code_that_loses_the_exception(start, command, number):
    """As torch does where it writes a file, and compiled code that calls back."""
    process = start(command)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert f"stopped by {number.name}; all is kept" in said
    assert said.count("\n") == 1


def test_who_takes_time_gets_it(start):
    process = start("later")
    process.send_signal(signal.SIGTERM)
    written, said = process.communicate(timeout=30)
    assert (process.returncode, written) == (143, "written\n")
    assert "stopped by SIGTERM" in said


def test_who_does_not_stop_is_ended(start):
    process = start("deaf")
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 143
    assert 1.5 < time.monotonic() - began < 10
    assert "stopped by SIGTERM in the middle of a step; all is kept" in said


def test_told_again_it_ends_at_once(start):
    process = start("later")
    process.send_signal(signal.SIGINT)
    time.sleep(0.8)
    process.send_signal(signal.SIGINT)
    written, said = process.communicate(timeout=30)
    assert (process.returncode, written) == (130, "")
    assert "in the middle of a step" in said


def test_what_is_ignored_stays_ignored(start):
    before = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    process = start("ignoring", before=before)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def test_handlers_are_put_back():
    before = [signal.getsignal(one) for one in stopping.SIGNALS]

    def told() -> None:
        with stopping.listening():
            with stopping.listening():
                pass
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)

    with pytest.raises(Stopped):
        told()
    assert [signal.getsignal(one) for one in stopping.SIGNALS] == before
    assert not stopping.told()


def test_a_thread_of_a_larger_program_does_not_listen():
    before = signal.getsignal(signal.SIGTERM)

    def body() -> None:
        with stopping.listening():
            assert signal.getsignal(signal.SIGTERM) is before

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()


def test_a_full_disk_says_the_same():
    with pytest.raises(DiskError) as caught, stopping.keeping(lambda: "all is kept"):
        raise DiskError("no space left on the disk.")
    assert stopping.described(caught.value) == "no space left on the disk; all is kept"


def test_a_checkpoint_that_is_being_written_is_written(tmp_path, monkeypatch):
    form = checkpoint.Form(name="test", version=1, oldest=1, missing="", advice="")
    save = torch.save

    def told_in_the_middle(*arguments) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        save(*arguments)

    monkeypatch.setattr(torch, "save", told_in_the_middle)
    with pytest.raises(Stopped), stopping.listening():
        checkpoint.write(form, tmp_path, form)  # any dataclass
    assert checkpoint.read(tmp_path, form, lambda content: checkpoint.Form(**content)) == form


def test_where_a_signal_waits_already_an_inner_wait_does_not_end_it():
    reached = []

    def told() -> None:
        with stopping.listening(), stopping.deferred():
            with stopping.deferred():
                os.kill(os.getpid(), signal.SIGTERM)
            reached.append("the good moment")

    with pytest.raises(Stopped):
        told()
    assert reached
