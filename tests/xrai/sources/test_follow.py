"""Files that real writers in other processes write, finish, abandon and take up again."""

import threading
import time

import pytest

from xrai.sources.follow import FollowedFiles
from xrai.sources.stream import PatternStream
from xraisim.core.errors import FormatError
from xraisim.files.patterns import PatternReader
from xraisim.files.shards import Shard

from .conftest import BRISK, HASTY, assert_same_blocks, some_photons, until, write

# Copies a file: of its patterns as many as each order says, until there is none or one of 0, a
# failure. The chunks are small, so that patterns reach the disk soon.
_COPY = """
import sys
from pathlib import Path
sys.path.insert(0, repository)
from tests.xrai.sources.conftest import writer
from xraisim.files import photon_tables
from xraisim.files.patterns import PatternReader
photon_tables._ENTRY_CHUNK, photon_tables._OFFSET_CHUNK = 64, 16
done = 0
with PatternReader(arguments[0]) as source, writer(Path(arguments[1])) as file:
    while True:
        try:
            many = orders.recv()
        except EOFError:
            break
        if not many:
            raise SystemExit("on purpose")
        file.append(source.read_raw(done, done + many))
        done += many
"""


def test_a_file_is_read_while_it_grows_and_ends_when_it_is_whole(stored, tmp_path, start):
    """Also: it need not exist; the blocks are the finished file's; leaving early does not hang."""
    out = tmp_path / "growing.h5"
    _, orders = start(_COPY, stored, out)
    orders.send(400)
    with PatternStream(FollowedFiles(out, BRISK), 150, 1.0) as stream:
        assert stream.path == out
        assert 1 <= stream.wait_for(300) <= 300
        assert not stream.ended
        assert stream.rereadable
        for rows, _ in stream.blocks(120, 290):
            last = rows.stop
        assert last == 290
        for rows, _ in stream.blocks():  # the third block is not there yet
            if rows.stop == 300:
                break
        threading.Timer(0.2, lambda: (orders.send(600), orders.close())).start()
        with PatternStream(stored, 150, 0.0) as whole:
            assert_same_blocks(stream.blocks(), whole.blocks())
        assert stream.ended
        assert (len(stream), stream.warning) == (1000, "")
        assert stream.wait_for(2000) == 1000


def test_a_killed_writer_ends_the_stream_and_a_resumed_one_continues_it(stored, tmp_path, start):
    out = tmp_path / "killed.h5"
    partial = out.with_name("killed.h5.partial")
    process, orders = start(_COPY, stored, out)
    orders.send(500)
    source = FollowedFiles(out, BRISK)
    with PatternStream(source, 100, 0.0) as stream:
        assert stream.wait_for(400) == 400
        process.kill()
        process.join()
        partial.replace(out.with_name("killed.h5.interrupted.partial"))  # as --resume does
        process, orders = start(_COPY, stored, out)
        orders.send(100)
        until(partial.exists)
        source.wait(1000, 0.1)
        assert len(stream) >= 400, "known patterns stay known while they are copied"
        orders.send(850)
        assert stream.wait_for(900) == 900
        process.kill()
        process.join()
        source._config = HASTY
        found = list(stream.blocks())
        assert stream.ended
        assert "was killed, or stalls" in stream.warning
    with PatternReader(partial) as left, PatternStream(stored, 100, 0.0) as whole:
        assert_same_blocks(found, whole.blocks(0, left.n_patterns))


def test_a_writer_that_gave_up_is_recognised(stored, tmp_path, start):
    out = tmp_path / "failed.h5"
    process, orders = start(_COPY, stored, out)
    orders.send(500)
    orders.send(0)
    process.join(60)
    with PatternStream(FollowedFiles(out, HASTY), 100, 0.0) as stream:
        assert sum(len(photons) for _, photons in stream.blocks()) == len(stream) >= 400
        assert "was interrupted, and can go on with --resume" in stream.warning


def test_shards_are_taken_in_their_order(stored, tmp_path):
    """The second is there first; the third is never begun."""
    whole = tmp_path / "parts.h5"
    parts = [some_photons(100, seed) for seed in (1, 2)]
    write(Shard(2, 3).path(whole), parts[1])
    source = None

    def begin():
        write(Shard(1, 3).path(whole), parts[0])

    threading.Timer(0.2, begin).start()
    source = FollowedFiles(whole, HASTY)
    with PatternStream(source, 150, 1.0) as stream:
        assert stream.wait_for(500) == 200
        _, photons = next(stream.blocks())
        assert photons.totals().tolist() == [
            *parts[0].totals().tolist(),
            *parts[1].totals()[:50].tolist(),
        ]
        assert "shard-3-of-3.h5 was not begun" in stream.warning


def test_shards_of_another_experiment_are_refused(tmp_path):
    whole = tmp_path / "parts.h5"
    write(Shard(1, 2).path(whole), some_photons(10))
    write(Shard(2, 2).path(whole), some_photons(10), diameter=50.0)
    with (
        PatternStream(FollowedFiles(whole, HASTY), 5, 1.0) as stream,
        pytest.raises(FormatError, match="not of the same experiment"),
    ):
        list(stream.blocks())


def test_a_whole_file_needs_no_waiting(stored):
    began = time.monotonic()
    with (
        PatternStream(FollowedFiles(stored, BRISK), 300, 1.0) as stream,
        PatternStream(stored, 300, 1.0) as plain,
    ):
        assert_same_blocks(stream.blocks(), plain.blocks())
    assert time.monotonic() - began < BRISK.idle_timeout_s


def test_a_file_that_never_comes_is_an_error(tmp_path):
    with pytest.raises(FormatError, match=r"no such file, nor never.h5.partial, after 0.5 s"):
        FollowedFiles(tmp_path / "never.h5", HASTY)
