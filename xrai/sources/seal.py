"""A secret that both ends know: it seals messages, and never travels itself.

The seal is a further frame, HMAC-SHA256 by the token over the length and the content of each frame.
"""

import hashlib
import hmac
import os
from collections.abc import Sequence
from pathlib import Path

from xraisim.core.errors import ConfigError, FormatError

VARIABLE = "XRAI_TOKEN"
_SHORTEST = 16


def read_token(path: Path | None) -> bytes | None:
    """Return the token in a file, else in ``$XRAI_TOKEN``, without blanks around it; None if none.

    Raises :class:`ConfigError` for a token that can be guessed.
    """
    if path is None and VARIABLE not in os.environ:
        return None
    token = (os.environ[VARIABLE].encode() if path is None else path.read_bytes()).strip()
    if len(token) < _SHORTEST:
        raise ConfigError(
            f"the token in {path or '$' + VARIABLE} has {len(token)} characters; expected "
            f"{_SHORTEST} or more, such as those of `openssl rand -hex 32`"
        )
    return token


def sealed(frames: Sequence[bytes], token: bytes | None) -> list[bytes]:
    """Return the frames of a message with a seal behind them, if there is a token."""
    return [*frames] if token is None else [*frames, _seal(frames, token)]


def opened(frames: Sequence[bytes], token: bytes | None) -> list[bytes]:
    """Return the frames without their seal; raises :class:`FormatError` if it is not right."""
    if token is None:
        return [*frames]
    if not hmac.compare_digest(_seal(frames[:-1], token), bytes(frames[-1])):
        raise FormatError("a message without the token, or with another one")
    return [*frames[:-1]]


def _seal(frames: Sequence[bytes], token: bytes) -> bytes:
    code = hmac.new(token, digestmod=hashlib.sha256)
    for frame in frames:
        code.update(len(frame).to_bytes(8, "little"))
        code.update(frame)
    return code.digest()
