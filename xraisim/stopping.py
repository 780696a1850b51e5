"""Being told to stop, by Ctrl-C or SIGTERM: the same in every command, in every phase.

The first signal raises :class:`Stopped` in the main thread, or is only noted where somebody has
asked for it (:func:`deferred`) to reach a good moment first. Who has not stopped after
:data:`GRACE_S`, or is told again, is ended on the spot: what is on the disk is whole at any moment.
Code that is not ours may lose the exception: replaced by an error of its own it is found again in
that one's context, and swallowed (in a callback of compiled code) it is raised once more.
Either way one line says what is kept and how to go on, and the exit status is 128 + the signal's
number.
"""

import os
import select
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from xraisim.core.errors import DiskError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_S = 2.0
_SAME_S = 0.5  # torchrun and terminals tell a process twice; so soon it is the same telling
_TELL_S = 0.3
_AGAIN_S = 0.05
_NOTHING = "files under their final names are whole; run the command again"


class Stopped(BaseException):
    """Told to stop by a signal, ``number``; its notes say what is kept and how to go on."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number

    @property
    def exit_status(self) -> int:
        """What a shell expects of a process that a signal ended."""
        return 128 + self.number


@dataclass
class _Process:
    """What this process was told. Signals belong to a process as a whole, and so does this."""

    listening: bool = False
    told: int = 0
    noted: Callable[[], None] | None = None
    tells: list[Callable[[], str]] = field(default_factory=list)


_process = _Process()


@contextmanager
def listening() -> Iterator[None]:
    """Let SIGINT and SIGTERM stop what happens inside, as this module says.

    Only the main thread of a program may listen; elsewhere, and inside another such context,
    nothing changes. A signal that is ignored (``nohup``) stays so.
    """
    if _process.listening or threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [one for one in SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
    _process.listening, _process.told = True, 0
    guard = _Guard()
    hook, sys.unraisablehook = sys.unraisablehook, _once_more(sys.unraisablehook)
    before = {number: signal.signal(number, _note) for number in heard}
    try:
        yield
    except Exception as error:
        stopped = _hidden(error)
        if stopped is None:
            raise
        raise stopped from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook
        guard.close()
        _process.listening, _process.told = False, 0


@contextmanager
def deferred(noted: Callable[[], None] | None = None) -> Iterator[None]:
    """Only note a signal inside, and raise :class:`Stopped` at the end or in :func:`if_told`.

    ``noted`` is called when it comes. Inside another such context it is left to that one.
    """
    before = _process.noted
    _process.noted = noted or before or (lambda: None)
    try:
        yield
    finally:
        _process.noted = before
    if before is None:
        if_told()


def told() -> bool:
    """Whether the process was told to stop."""
    return _process.told != 0


def if_told() -> None:
    """Raise :class:`Stopped` if the process was told to stop."""
    if _process.told:
        raise Stopped(_process.told)


def take_time() -> None:
    """Put off the end on the spot: what is written now is worth the wait. Telling again ends it."""
    _Guard.patient = True


@contextmanager
def keeping(tell: Callable[[], str]) -> Iterator[None]:
    """Say, if something inside is told to stop or the disk is full, what ``tell`` returns.

    That is what is kept and how to go on; it may be asked from another thread.
    """
    _process.tells.append(tell)
    try:
        yield
    except (Stopped, DiskError) as error:
        error.add_note(tell())
        raise
    except Exception as error:
        stopped = _hidden(error)
        if stopped is None:
            raise
        stopped.add_note(tell())
        raise stopped from None
    finally:
        _process.tells.pop()


def described(error: BaseException) -> str:
    """Return what happened, what is kept and how to go on."""
    notes = getattr(error, "__notes__", None) or ([_NOTHING] if isinstance(error, Stopped) else [])
    return "; ".join([str(error).removesuffix("."), *notes[:1]])


def again(*more: str) -> str:
    """Return the command that runs, with ``more`` arguments, in quotes to be pasted."""
    program = Path(sys.argv[0])
    names = [program.name]
    if program.suffix == ".py":
        names = ["python", "-m", f"{program.parent.name}.{program.stem}"]
    given = sys.argv[1:]
    return f"`{shlex.join([*names, *given, *(one for one in more if one not in given)])}`"


def _note(number: int, frame: FrameType | None) -> None:
    if _process.told:
        return
    _process.told = number
    if _process.noted is None:
        raise Stopped(number)
    _process.noted()


def _hidden(error: BaseException | None) -> Stopped | None:
    """Return what an error arose from, if that is :class:`Stopped`."""
    while error is not None and not isinstance(error, Stopped):
        error = error.__context__
    return error


def _once_more(before: Callable[..., object]) -> Callable[..., object]:
    """Return the hook that has :class:`Stopped` raised again where Python had to ignore it."""

    def hook(unraisable: "sys.UnraisableHookArgs") -> object:
        if not isinstance(unraisable.exc_value, Stopped):
            return before(unraisable)
        number, _process.told = unraisable.exc_value.number, 0
        timer = threading.Timer(_AGAIN_S, _tell, [number])
        timer.daemon = True
        timer.start()
        return None

    return hook


def _tell(number: int) -> None:
    main = threading.main_thread().ident
    if _process.listening and not _process.told and main is not None:
        signal.pthread_kill(main, number)


class _Guard:
    """Ends the process if it was told to stop and does not.

    Python's handlers wait until compiled code returns. The system's part of a handler writes into
    a pipe at once, and a thread reads it.
    """

    patient = False

    def __init__(self) -> None:
        _Guard.patient = False
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._run, name="stop guard", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, and not the process."""
        signal.set_wakeup_fd(self._before)
        self._writer.send(b"\0")
        self._thread.join()
        self._reader.close()
        self._writer.close()

    def _run(self) -> None:
        first = self._next(None)
        began = time.monotonic()
        while first:
            left = began + GRACE_S - time.monotonic()
            number = self._next(None if left <= 0 else left)
            if number == 0:
                return
            overdue = number is None and not _Guard.patient
            if overdue or (number and time.monotonic() > began + _SAME_S):
                _end(first)

    def _next(self, timeout_s: float | None) -> int | None:
        """Return the next signal, 0 if there will be none, None if the time is over."""
        while select.select([self._reader], [], [], timeout_s)[0]:
            number = self._reader.recv(1)[0]
            if number in (0, *SIGNALS):
                return number
        return None


def _end(number: int) -> None:
    """End the process as it is; say what is kept, unless that takes long."""
    said: list[str] = []

    def ask() -> None:
        said.append(_process.tells[-1]())

    asking = threading.Thread(target=ask, daemon=True)
    with suppress(Exception):
        asking.start()
        asking.join(_TELL_S)
    reason = f"stopped by {signal.Signals(number).name} in the middle of a step"
    os.write(2, "; ".join([reason, *(said or [_NOTHING])]).encode() + b"\n")
    os._exit(128 + number)
