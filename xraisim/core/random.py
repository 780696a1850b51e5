"""Counter-based random numbers: a draw depends on (seed, stream name, pattern index) alone.

So pattern i is the same whatever the sharding, the batch size and the number of threads.
"""

import hashlib

import numpy as np
import torch
from jaxtyping import Float64, Integer

from xraisim.core.kernels.philox import fill_uniforms


def stream_key(seed: int, stream: str) -> tuple[np.uint32, np.uint32]:
    """Return the 64-bit Philox key of a named stream, as two 32-bit words."""
    digest = hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest()
    words = np.frombuffer(digest, dtype="<u4")
    return words[0], words[1]


def uniforms(
    seed: int, stream: str, indices: Integer[np.ndarray, "n"], columns: int
) -> Float64[np.ndarray, "n {columns}"]:
    """Return uniforms on (0, 1), a row for each of the pattern ``indices``."""
    out = np.empty((len(indices), columns))
    fill_uniforms(out, np.ascontiguousarray(indices, dtype=np.uint64), *stream_key(seed, stream))
    return out


def generator(seed: int, stream: str, device: str | torch.device = "cpu") -> torch.Generator:
    """Return a torch generator for a named stream, for draws that are not per pattern."""
    low, high = stream_key(seed, stream)
    made = torch.Generator(device=device)
    made.manual_seed((int(high) << 31) ^ int(low))
    return made
