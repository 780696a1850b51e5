"""What a library raises on bad input becomes one of our errors, and nothing else does."""

import errno
import json
import pickle
import struct
import tomllib
import zipfile
import zlib
from pathlib import Path

import pytest

from xraisim.core.errors import ConfigError, FormatError, StructureError, reading, reads

_DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "read",
    [
        lambda: json.loads("{"), lambda: json.loads(_DEEP), lambda: tomllib.loads("= 1"),
        lambda: b"\xff".decode(), lambda: struct.unpack("<i", b"x"), lambda: zlib.decompress(b"x"),
        lambda: pickle.loads(b"x"), lambda: {}["x"], lambda: [][1], lambda: float([]),
        lambda: zipfile.ZipFile(__file__), lambda: 1 / 0, lambda: bytearray(2**62), lambda: None.x,
    ],
)  # fmt: skip
def test_one_error_with_the_path_and_the_cause(read) -> None:
    expected = r"^x\.h5 is not a readable map \(.+\); ask"
    with pytest.raises(FormatError, match=expected) as caught, reading("x.h5", "map", "ask"):
        read()
    assert not isinstance(caught.value.__cause__, FormatError)
    assert caught.value.__cause__ is not None, "--debug shows it"
    assert len(str(caught.value)) < 400


def test_memory_is_said_to_be_declared() -> None:
    with pytest.raises(FormatError, match="more than fits into memory"), reading("x", "map"):
        raise MemoryError


def test_our_own_errors_pass_as_they_are() -> None:
    with pytest.raises(ConfigError, match=r"^a key$"), reading("x", "map"):
        raise ConfigError("a key")


def test_what_is_no_error_of_reading_passes() -> None:
    with pytest.raises(NameError), reading("x", "map"):
        raise NameError("a mistake of ours")
    with pytest.raises(KeyboardInterrupt), reading("x", "map"):
        raise KeyboardInterrupt


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    expected = "absent: No such file or directory; expected a map"
    with (
        pytest.raises(StructureError, match=expected),
        reading(absent, "map", error=StructureError),
    ):
        absent.read_bytes()
    with pytest.raises(FormatError, match="x: Permission denied"), reading("x", "map"):
        raise PermissionError(errno.EACCES, "no")


def test_a_reader_keeps_its_name_and_its_arguments() -> None:
    @reads("map")
    def read(path: str, key: str = "a") -> str:
        """Read."""
        return {"a": path}[key]

    assert read("x") == "x"
    assert read.__doc__ == "Read."
    with pytest.raises(FormatError, match=r"^x is not a readable map \(nothing is called 'b'\)"):
        read("x", key="b")
