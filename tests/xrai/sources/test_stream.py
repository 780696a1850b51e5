"""The stream over sources of every kind: in memory, from a file, of somebody else."""

import threading
import time

import numpy as np
import pytest

from xrai.sources.stream import PatternStream
from xraisim.core.errors import ConfigError, FormatError
from xraisim.core.types import Photons, Pixels
from xraisim.files.patterns import PatternReader


class Counting:
    """A file's patterns; remembers what was read of them, and by which thread."""

    def __init__(self, path) -> None:
        self._reader = PatternReader(path)
        self.path, self.pixels, self.info = path, self._reader.pixels, self._reader.info
        self.n_patterns = self._reader.n_patterns
        self.read_by: list[tuple[int, int, threading.Thread]] = []
        self.closed = False

    def read(self, start: int, stop: int) -> Photons:
        self.read_by.append((start, stop, threading.current_thread()))
        return self._reader.read(start, stop)

    def close(self) -> None:
        self.closed = True
        self._reader.close()


class CountingReader(PatternReader):
    """A file that remembers how often it was read, and breaks at a pattern."""

    reads, breaks_at = 0, 10**9

    def read(self, start: int, stop: int) -> Photons:
        self.reads += 1
        time.sleep(0.001)  # so that the consumer has to wait now and then
        if stop > self.breaks_at:
            raise FormatError("the disk is broken")
        return super().read(start, stop)


def photons_of(stream, *limits) -> list[tuple]:
    return [
        (rows, photons.offsets.tobytes(), photons.pixel.tobytes(), photons.count.tobytes())
        for rows, photons in stream.blocks(*limits)
    ]


@pytest.mark.parametrize("ahead", [0, 1, 2, 100])
@pytest.mark.parametrize("memory_gib", [0.0, 2e-4, 1.0])
def test_blocks_do_not_depend_on_how_they_are_read(patterns, ahead, memory_gib):
    with PatternStream(patterns, 70, 0.0, 0) as plain:
        expected = photons_of(plain), photons_of(plain, 33, 500)
    with PatternStream(CountingReader(patterns), 70, memory_gib, ahead) as stream:
        for _ in range(2):
            assert (photons_of(stream), photons_of(stream, 33, 500)) == expected
        assert stream.rereadable
        assert stream.ended
        assert (stream.wait_for(10), stream.wait_for(10**6)) == (10, len(stream))


def test_what_fits_in_memory_is_read_once(patterns):
    reader = CountingReader(patterns)
    with PatternStream(reader, 100, 1.0) as stream:
        for _ in range(3):
            list(stream.blocks())
        assert reader.reads == 9
    reader = CountingReader(patterns)
    with PatternStream(reader, 100, 0.0) as stream:
        for _ in range(3):
            list(stream.blocks())
        assert reader.reads == 27


def test_what_is_in_memory_is_known(patterns):
    with PatternStream(patterns, 70, 1.0) as stream:
        assert not stream.keeps(1)
        photons_of(stream, 0, 200)
        assert stream.keeps(210)
        assert not stream.keeps(211 + 70 * stream._ahead)
    with PatternStream(patterns, 70, 0.0) as stream:
        photons_of(stream, 0, 200)
        assert not stream.keeps(1)


def test_no_more_is_read_than_the_read_ahead(patterns):
    reader = CountingReader(patterns)
    with PatternStream(reader, 50, 0.0, 3) as stream:
        blocks = stream.blocks()
        for taken in range(1, 6):
            next(blocks)
            time.sleep(0.02)
            assert reader.reads <= taken + 4
        blocks.close()
        assert reader.reads <= 9


def test_an_error_of_the_reader_reaches_the_consumer_in_its_place(patterns):
    reader = CountingReader(patterns)
    reader.breaks_at = 250
    got = []

    def consume() -> None:
        got.extend(rows.stop for rows, _ in stream.blocks())

    with (
        PatternStream(reader, 100, 0.0, 5) as stream,
        pytest.raises(FormatError, match="the disk is broken"),
    ):
        consume()
    assert got == [100, 200]


def test_leaving_in_the_middle_stops_the_thread_before_the_file_is_closed(patterns):
    """Also while an error is on its way, and holds on to the iterator."""

    def fail(stream: PatternStream) -> None:
        for _ in stream.blocks():
            raise KeyError("by the consumer")

    with (
        pytest.raises(KeyError, match="by the consumer"),
        PatternStream(patterns, 10, 0.0, 3) as stream,
    ):
        fail(stream)
    for _ in range(3):
        with PatternStream(patterns, 10, 0.0, 3) as stream:
            next(stream.blocks())
    assert not [thread for thread in threading.enumerate() if thread.name == "pattern reader"]


def test_two_iterators_of_one_stream(patterns):
    with PatternStream(patterns, 70, 2e-4) as stream:
        expected = photons_of(stream)
        pairs = list(zip(stream.blocks(), stream.blocks(), strict=True))
        for ((rows, one), (same_rows, other)), (expected_rows, _, pixel, _) in zip(
            pairs, expected, strict=True
        ):
            assert rows == same_rows == expected_rows
            assert one.pixel.tobytes() == other.pixel.tobytes() == pixel


def test_a_source_of_somebody_else_is_read_by_the_callers_thread(patterns):
    source = Counting(patterns)
    with PatternStream(source, 100, 0.0, 3) as stream:
        for rows, _ in stream.blocks(120, 310):
            assert source.read_by[-1][1] == min(rows.start + 100 - rows.start % 100, 900)
        assert {thread for _, _, thread in source.read_by} == {threading.current_thread()}
    assert source.closed


def test_nothing_to_read_is_an_error(patterns):
    source = Counting(patterns)
    source.n_patterns = 0
    with pytest.raises(FormatError, match="holds no patterns"):
        PatternStream(source, 100, 1.0)
    assert source.closed


def test_pixels_and_header_are_the_sources(patterns):
    with PatternReader(patterns) as reader, PatternStream(patterns, 100, 1.0) as stream:
        assert isinstance(stream.pixels, Pixels)
        assert np.array_equal(stream.pixels.index, reader.pixels.index)
        assert stream.info == reader.info
        assert stream.path == patterns
        assert stream.warning == ""


@pytest.mark.parametrize("ahead", [0, 2])
def test_a_resolution_ends_pixels_and_photons_there(patterns, ahead):
    with PatternReader(patterns) as reader:
        everything, pixels = reader.read(0, reader.n_patterns), reader.pixels
    count = pixels.count_below(1 / 40)
    assert 0 < count < len(pixels)
    with PatternStream(patterns, 70, 1.0, ahead, resolution_angstrom=40.0) as stream:
        assert stream.pixels.index.tolist() == pixels.index[:count].tolist()
        assert float(stream.pixels.radius[-1]) <= 1 / 40
        found = Photons.joined([photons for _, photons in stream.blocks()])
        whole = stream.fingerprint(64)
    assert (found.dense(count) == everything.dense(len(pixels))[:, :count]).all()
    assert found.pixel.max() < count
    with PatternStream(patterns, 70, 1.0, ahead) as stream:
        assert stream.fingerprint(64) == whole  # the patterns are the same ones


def test_a_resolution_that_no_pixel_has(patterns):
    with pytest.raises(ConfigError, match=r"is 900, and no pixel is within it: they see from 218"):
        PatternStream(patterns, 70, 1.0, resolution_angstrom=900.0)
