import threading
import time

import pytest

from xrai.sources.read_ahead import ReadAhead

from .conftest import until


def test_items_come_in_order():
    reader = ReadAhead(lambda _: iter(range(500)), 3, "test")
    assert list(reader) == list(range(500))
    assert list(reader) == []
    reader.close()


def test_a_slow_consumer_holds_the_reader_back():
    made = []

    def produce(_):
        for i in range(100):
            made.append(i)
            yield i

    reader = ReadAhead(produce, 3, "test")
    for taken in range(1, 20):
        next(reader)
        until(lambda taken=taken: len(made) == taken + 4)  # three wait, one is in the thread's hand
        time.sleep(0.002)
        assert len(made) == taken + 4
    reader.close()
    assert len(made) == 23


def test_an_error_comes_where_its_item_would_have():
    def produce(_):
        yield 1
        yield 2
        raise KeyError("third")

    reader = ReadAhead(produce, 5, "test")
    assert [next(reader), next(reader)] == [1, 2]
    with pytest.raises(KeyError, match="third"):
        next(reader)
    assert list(reader) == []
    reader.close()


@pytest.mark.parametrize("taken", [0, 1])
def test_closing_early_ends_the_thread(taken):
    """Once while it waits for something to come, once while it waits for room."""

    def waiting(stopped):
        yield 0
        stopped.wait()

    def fast(_):
        while True:
            yield 0

    for produce in (waiting, fast):
        reader = ReadAhead(produce, 2, "reader under test")
        for _ in range(taken):
            next(reader)
        reader.close()
        assert "reader under test" not in [thread.name for thread in threading.enumerate()]
