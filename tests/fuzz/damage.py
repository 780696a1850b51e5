"""Damage to bytes: what discs, transfers, other programs and editors do to a file, and worse."""

import re
import struct
from collections.abc import Callable

import numpy as np

Rng = np.random.Generator
Damage = Callable[[bytes, Rng], bytes]

_MARKS = re.compile(
    rb"OHDR|OCHK|TREE|SNOD|HEAP|GCOL|FRHP|FHDB|FHIB|FSHD|BTHD|BTIN|BTLF|FAHD|FADB|EAHD|EAIB|EADB|"
    rb"PK\x01\x02|PK\x03\x04|PK\x05\x06|\n"
)
_NUMBERS = [
    *(struct.pack("<i", n) for n in (0, 1, -1, 255, 2**31 - 1, -(2**31))),
    *(struct.pack("<q", n) for n in (0, 1, -1, 10**12, 2**62, 2**63 - 1, -(2**63))),
    *(struct.pack("<f", x) for x in (np.nan, np.inf, -np.inf, -1.0, 1e38)),
    *(struct.pack("<d", x) for x in (np.nan, np.inf, -1.0, 1e308, 5e-324)),
]
_TOKENS = (
    "nan", "inf", "-inf", "-1", "0", "1e999", "-0.0", "99999999999999999999", "1e-320", "true", "",
    "é", "\x00", "\ufeff", "[", "[" * 5000, '"', "'", "{", "}", ";", "#", "?", ".", "a\tb",
    "[/bold]", "x" * 3000, "1" * 5000, "(1-99999999)", "D", "1_0", "0x1F", "--", "..", "%s", "\r",
)  # fmt: skip


def edges(data: bytes) -> list[int]:
    """Return where something begins in a file: its marks, its lines, and rounds of its header."""
    marks = {found.start() for found in _MARKS.finditer(data)}
    rounds = {n for n in (1, 4, 8, 16, 128, 256, 512, 1024, 2048, 4096) if n < len(data)}
    return sorted({0, len(data) - 1, *marks, *rounds})


def cut_at(data: bytes, number: int) -> bytes:
    """Truncate at the edge of a number."""
    found = edges(data)
    return data[: found[number % len(found)]]


def _cut(data: bytes, rng: Rng) -> bytes:
    return data[: rng.integers(len(data) + 1)]


def _flip(data: bytes, rng: Rng) -> bytes:
    out = bytearray(data)
    for place in rng.integers(len(data), size=rng.integers(1, 9)) if data else ():
        out[place] ^= 1 << rng.integers(8)
    return bytes(out)


def _span(data: bytes, rng: Rng) -> tuple[int, int]:
    start = int(rng.integers(len(data) + 1))
    return start, min(start + int(2 ** rng.uniform(0, 12)), len(data))


def _zero(data: bytes, rng: Rng) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + bytes([rng.choice([0, 255])]) * (stop - start) + data[stop:]


def _drop(data: bytes, rng: Rng) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + data[stop:]


def _repeat(data: bytes, rng: Rng) -> bytes:
    start, stop = _span(data, rng)
    return data[:stop] + data[start:stop] * int(rng.integers(1, 4)) + data[stop:]


def _move(data: bytes, rng: Rng) -> bytes:
    start, stop = _span(data, rng)
    rest = data[:start] + data[stop:]
    place = int(rng.integers(len(rest) + 1))
    return rest[:place] + data[start:stop] + rest[place:]


def _noise(data: bytes, rng: Rng) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + rng.bytes(stop - start) + data[stop:]


def _number(data: bytes, rng: Rng) -> bytes:
    value = _NUMBERS[rng.integers(len(_NUMBERS))]
    place = int(rng.integers(max(len(data) - len(value), 0) // 4 + 1)) * 4
    return data[:place] + value + data[place + len(value) :]


def _line(data: bytes, rng: Rng) -> bytes:
    lines = data.split(b"\n")
    at, other = (int(n) for n in rng.integers(len(lines), size=2))
    kind = rng.integers(3)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(other, lines[at])
    else:
        lines[at], lines[other] = lines[other], lines[at]
    return b"\n".join(lines)


def _token(data: bytes, rng: Rng) -> bytes:
    tokens = list(re.finditer(rb"[^\s=,]+", data))
    new = _TOKENS[rng.integers(len(_TOKENS))].encode()
    if not tokens:
        return new
    start, stop = tokens[rng.integers(len(tokens))].span()
    if rng.random() < 0.3 and len(new) <= stop - start:  # keep the columns of a PDB file
        new = new.rjust(stop - start)
    return data[:start] + new + data[stop:]


def _ends(data: bytes, rng: Rng) -> bytes:
    return rng.choice([b"\xef\xbb\xbf", b"\n", b"\x00", b""]) + data.replace(
        b"\n", rng.choice([b"\n", b"\r\n", b"\r"])
    )


BYTES: tuple[Damage, ...] = (_cut, _flip, _flip, _zero, _drop, _repeat, _move, _noise, _number)
TEXT: tuple[Damage, ...] = (_line, _token, _token, _token, _ends, _cut, _flip, _drop, _repeat)
