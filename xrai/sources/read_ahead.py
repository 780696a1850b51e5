"""A thread that makes things before they are asked for, but not too many."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ReadAhead(Generic[Item]):
    """The items of an iterator, in order, made by a thread of their own.

    At most ``ahead`` items wait to be taken, so that with the one being made and the one last
    taken, ``ahead`` + 2 exist. What the iterator raises is raised where its item would have been
    taken. ``produce`` is given an event; once that is set it is to come to an end soon.
    """

    def __init__(
        self, produce: Callable[[threading.Event], Iterator[Item]], ahead: int, name: str
    ) -> None:
        """Start the thread."""
        self._waiting: deque[Item] = deque()
        self._ahead = ahead
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._finished = False
        self._error: BaseException | None = None
        # A daemon: a read that hangs in the system does not keep the program from ending.
        self._thread = threading.Thread(target=self._run, args=(produce,), name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._finished)
            if self._waiting:
                item = self._waiting.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """Stop the thread and wait until it has; what it made and nobody took is dropped."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join()
        self._waiting.clear()

    def _run(self, produce: Callable[[threading.Event], Iterator[Item]]) -> None:
        error: BaseException | None = None
        try:
            for item in produce(self._stopped):
                if not self._give(item):
                    break
        except BaseException as raised:
            error = raised
        with self._changed:
            self._finished, self._error = True, error
            self._changed.notify_all()

    def _give(self, item: Item) -> bool:
        """Add an item once there is room; return False if nobody wants it any more."""
        with self._changed:
            self._changed.wait_for(
                lambda: len(self._waiting) < self._ahead or self._stopped.is_set()
            )
            if self._stopped.is_set():
                return False
            self._waiting.append(item)
            self._changed.notify_all()
            return True
