"""Patterns through a real socket: the same as in the file, and nothing else."""

import threading
import time

import numpy as np
import pytest
import zmq

from xrai.sources.config import SourceConfig
from xrai.sources.link import Link
from xrai.sources.messages import End, Patterns, encode
from xrai.sources.push import PushConfig, experiment_of, push
from xrai.sources.pushed import PushedPatterns
from xrai.sources.seal import opened, read_token, sealed
from xrai.sources.stream import PatternStream
from xraisim.core.errors import ConfigError, FormatError, UserError
from xraisim.core.types import Photons
from xraisim.files.patterns import PatternReader

from .conftest import BRISK, HASTY, assert_same_blocks, some_photons, until

_SOME = some_photons(50)


@pytest.fixture
def pushing():
    """Return the function that pushes in a thread, and gives a list for what became of it."""
    threads = []

    def run(*arguments, **options) -> list:
        outcome: list = []

        def body() -> None:
            try:
                outcome.append(push(*arguments, PushConfig(**options)))
            except UserError as error:
                outcome.append(error)

        threads.append(threading.Thread(target=body))
        threads[-1].start()
        return outcome

    yield run
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture
def hand(door, stored):
    """What sends messages by hand: an experiment first."""
    with Link(zmq.PUSH, door.address) as link, PatternReader(stored) as reader:
        link.socket.send_multipart(encode(experiment_of(reader.pixels, reader.info), "hand"))
        yield lambda message, run="hand": link.socket.send_multipart(
            message if isinstance(message, list) else encode(message, run)
        )


@pytest.mark.parametrize("memory_gib", [0.0, 1.0])
def test_pushed_patterns_are_those_of_the_file(stored, door, pushing, memory_gib):
    outcome = pushing(stored, door.address, message=37)
    with (
        PatternStream(PushedPatterns(door, BRISK), 150, memory_gib) as stream,
        PatternStream(stored, 150, 0.0) as file,
    ):
        for name in ("s", "gain", "background", "index"):
            assert (getattr(stream.pixels, name) == getattr(file.pixels, name)).all()
        assert stream.diameter_angstrom == file.diameter_angstrom
        assert stream.info == file.info
        assert_same_blocks(stream.blocks(), file.blocks())
        assert stream.ended
        assert (len(stream), stream.warning) == (1000, "")
        assert stream.rereadable == (memory_gib > 0)
        if memory_gib:
            assert_same_blocks(stream.blocks(170, 800), file.blocks(170, 800))
        else:
            with pytest.raises(UserError, match="was pushed and read, and is not kept"):
                next(stream.blocks())
    until(lambda: outcome == [1000])


def test_a_stream_may_be_left_and_taken_up_anywhere(stored, door, pushing):
    """What was read ahead and not handed out is not lost, though nothing is kept."""
    pushing(stored, door.address, message=37)
    with (
        PatternStream(PushedPatterns(door, BRISK), 100, 0.0, 3) as stream,
        PatternStream(stored, 100, 0.0) as file,
    ):
        assert_same_blocks(stream.blocks(0, 250), file.blocks(0, 250))
        for rows, _ in stream.blocks(250):
            if rows.stop == 500:
                break
        assert_same_blocks(stream.blocks(500), file.blocks(500))


def test_what_is_waited_for_is_held_until_it_is_read(stored, door, pushing):
    pushing(stored, door.address)
    with (
        PatternStream(PushedPatterns(door, BRISK), 100, 1e-5) as stream,
        PatternStream(stored, 100, 0.0) as file,
    ):
        assert stream.wait_for(700) == 700
        assert stream.rereadable
        assert_same_blocks(stream.blocks(0, 350), file.blocks(0, 350))
        assert_same_blocks(stream.blocks(350), file.blocks(350))
        assert not stream.rereadable


def test_a_push_goes_on_from_a_number(stored, door, pushing):
    outcome = pushing(stored, door.address, first=730, message=100)
    with (
        PatternStream(PushedPatterns(door, BRISK, first=730), 100, 1.0) as stream,
        PatternStream(stored, 100, 0.0) as file,
    ):
        assert not stream.rereadable
        assert_same_blocks(stream.blocks(730), file.blocks(730))
        assert_same_blocks(stream.blocks(750), file.blocks(750))
    until(lambda: outcome == [270])


def test_a_rate_is_kept(stored, door, pushing):
    began = time.monotonic()
    pushing(stored, door.address, rate_per_s=4000.0, message=50)
    with PatternStream(PushedPatterns(door, BRISK), 100, 1.0) as stream:
        assert stream.wait_for(1000) == 1000
    assert time.monotonic() - began >= 950 / 4000


class Endless:
    """Large patterns without end."""

    def __init__(self, like: PatternReader) -> None:
        self.path, self.pixels, self.info = like.path, like.pixels, like.info
        self.n_patterns = 2**40

    def read(self, start: int, stop: int) -> Photons:
        entries, patterns = 1000, stop - start
        pixel = np.zeros(entries * patterns, np.int32)
        return Photons(
            offsets=entries * np.arange(patterns + 1), pixel=pixel, count=np.ones_like(pixel)
        )

    def close(self) -> None:
        pass


def test_a_busy_reconstruction_holds_the_pusher_back(stored, door):
    pushed: list[int] = []
    gone: list[UserError] = []

    def body(source: Endless) -> None:
        try:
            push(source, door.address, PushConfig(), pushed.append)
        except UserError as error:
            gone.append(error)

    with PatternReader(stored) as reader:
        pusher = threading.Thread(target=body, args=(Endless(reader),))
        pusher.start()
        source = PushedPatterns(door, BRISK)
        with PatternStream(source, 256, 0.0, 2) as stream:
            for number, _ in enumerate(stream.blocks()):
                before = -1
                while before != len(pushed):  # until the pusher is stuck
                    before = len(pushed)
                    time.sleep(0.3)
                held = sum(len(photons) for _, photons in source._held)
                assert held <= 256 * (2 + 2 + 1)
                # Eight messages in the queues of ZeroMQ, and what the system's buffers hold.
                assert sum(pushed) < 256 * (number + 1 + 5 + 8) + 2**25 // 2000
                if number == 2:
                    break
        pusher.join(30)
    assert "has gone" in str(gone)


def test_a_gap_is_refused(door, hand):
    hand(Patterns(first=0, photons=_SOME))
    hand(Patterns(first=60, photons=_SOME))
    with (
        PatternStream(PushedPatterns(door, BRISK), 20, 0.0) as stream,
        pytest.raises(FormatError, match=r"pattern 50 was due at .*, 60 came.*--first 50"),
    ):
        list(stream.blocks())


def test_an_end_too_soon_is_a_gap(door, hand):
    hand(Patterns(first=0, photons=_SOME))
    hand(End(patterns=60))
    with (
        PatternStream(PushedPatterns(door, BRISK), 20, 0.0) as stream,
        pytest.raises(FormatError, match="pattern 50 was due"),
    ):
        list(stream.blocks())


STRANGE = {
    "a second process": (encode(Patterns(first=50, photons=_SOME), "other"), "second process"),
    "another experiment": (encode(End(patterns=0), "other"), "second process"),
    "no header": ([b"what is this?"], "without a header"),
    "deep": ([b"[" * 200_000], "nested deeper than 32"),
    "deep objects": ([b'{"a":' * 5000], "nested deeper than 32"),
    "long": ([b'"' + b"a" * 2**20 + b'"'], "header longer than"),
    "many frames": ([b"{}"] * 5000, "5,000 frames"),
    "empty": ([b""], "without a header"),
    "a shape that is no number": (
        [b'{"format": "x-rai stream", "version": 1, "kind": "end", "run": "", '
         b'"arrays": [["s", "<f4", [1e400]]]}', b""], "garbled"),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_strangers_are_dropped_and_counted(stored, door, hand, name, capsys):
    """Before the experiment of the one who pushes, and in the middle of its patterns."""
    frames, said = STRANGE[name]
    with Link(zmq.PUSH, door.address) as stranger:
        hand(Patterns(first=0, photons=_SOME))
        source = PushedPatterns(door, BRISK)
        stranger.socket.send_multipart(frames)
        until(lambda: door.ready(0.1))
        hand(Patterns(first=50, photons=_SOME))
        hand(End(patterns=100))
        with PatternStream(source, 20, 0.0) as stream:
            assert sum(len(photons) for _, photons in stream.blocks()) == 100
            until(lambda: source.dropped or not source._next())
            assert (stream.ended, stream.warning) == (True, "")
        assert sum(source.dropped.values()) == 1
        assert said in next(iter(source.dropped))
    told = capsys.readouterr().err.replace("\n", " ")
    assert "dropped 1 messages" in told
    assert "1 connections" in told


def test_strangers_who_come_first_are_dropped(stored, door, pushing):
    with Link(zmq.PUSH, door.address) as stranger:
        for frames, _ in STRANGE.values():
            stranger.socket.send_multipart(frames)
        time.sleep(0.2)
        outcome = pushing(stored, door.address)
        with PatternStream(PushedPatterns(door, BRISK), 100, 1.0) as stream:
            assert stream.wait_for(1000) == 1000
        until(lambda: outcome == [1000])


TOKEN = b"a secret of many letters"


@pytest.mark.parametrize("wrong", [None, b"another secret of letters"])
def test_only_who_knows_the_token_is_let_in(stored, pushing, wrong):
    door = Link(zmq.PULL, "tcp://127.0.0.1:*", token=TOKEN)
    outcome = pushing(stored, door.address, token=wrong)
    until(lambda: outcome)
    with pytest.raises(UserError, match=r"no experiment came in .* messages dropped: .*the token"):
        PushedPatterns(door, HASTY)


def test_who_knows_the_token_is_let_in(stored, pushing):
    door = Link(zmq.PULL, "tcp://127.0.0.1:*", token=TOKEN)
    outcome = pushing(stored, door.address, token=TOKEN)
    with (
        PatternStream(PushedPatterns(door, BRISK), 100, 1.0) as stream,
        PatternStream(stored, 100, 0.0) as file,
    ):
        assert_same_blocks(stream.blocks(), file.blocks())
    until(lambda: outcome == [1000])


def test_a_seal_covers_every_frame():
    frames = sealed([b"header", b"array"], TOKEN)
    assert opened(frames, TOKEN) == [b"header", b"array"]
    for changed in (
        [b"headerarray", b"", frames[2]],
        [b"header", b"arraz", frames[2]],
        frames[:-1],
        [frames[0], frames[2]],
        [frames[2]],
    ):
        with pytest.raises(FormatError, match="token"):
            opened(changed, TOKEN)


def test_tokens_come_from_a_file_or_the_environment(tmp_path, monkeypatch):
    assert read_token(None) is None
    monkeypatch.setenv("XRAI_TOKEN", "0123456789abcdef")
    assert read_token(None) == b"0123456789abcdef"
    file = tmp_path / "token"
    file.write_text("fedcba9876543210\n")
    assert read_token(file) == b"fedcba9876543210"
    assert "fedcba" not in repr(PushConfig(token=read_token(file)))
    file.write_text("short")
    with pytest.raises(ConfigError, match="has 5 characters; expected 16 or more"):
        read_token(file)


@pytest.mark.parametrize("pixel", [48, 2**31 - 1])
def test_pixels_beyond_the_detector_are_refused(door, hand, pixel):
    one = np.ones(1, np.int32)
    hand(Patterns(first=0, photons=Photons(offsets=np.arange(2), pixel=pixel * one, count=one)))
    with pytest.raises(FormatError, match="pixels that the detector of 48 has not"):
        PatternStream(PushedPatterns(door, BRISK), 20, 0.0)


def test_patterns_before_their_experiment_are_dropped(door):
    with Link(zmq.PUSH, door.address) as link:
        link.socket.send_multipart(encode(Patterns(first=0, photons=_SOME), "late"))
        with pytest.raises(UserError, match="1 messages dropped: patterns before their experiment"):
            PushedPatterns(door, HASTY)


def test_nobody_pushes(door):
    with pytest.raises(UserError, match=r"no experiment came in at .*: nothing came for 0.5 s"):
        PushedPatterns(door, HASTY)


def test_nobody_listens(stored, door):
    door.close(linger_ms=0)
    with pytest.raises(UserError, match="start xrai train --listen first"):
        push(stored, door.address, PushConfig(connect_timeout_s=0.2))


_PUSH = """
from xrai.sources.push import PushConfig, push
push(*arguments, PushConfig(rate_per_s=2000.0))
"""


def test_a_pusher_that_dies_ends_the_stream(stored, door, start):
    process, _ = start(_PUSH, stored, door.address)
    patient = SourceConfig(idle_timeout_s=600.0)
    with PatternStream(PushedPatterns(door, patient), 50, 0.0) as stream:
        blocks = stream.blocks()
        next(blocks)
        process.kill()
        assert sum(len(photons) for _, photons in blocks) == len(stream) - 50
        assert 50 <= len(stream) < 1000
        assert "gone without saying that this was all" in stream.warning


@pytest.mark.parametrize("options", [{"rate_per_s": 0.0}, {"message": 0}, {"first": -1}])
def test_settings_of_a_push_are_checked(options):
    with pytest.raises(ConfigError):
        PushConfig(**options)
