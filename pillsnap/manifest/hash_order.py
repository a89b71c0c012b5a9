"""Order keys by a hash of seed and key, so that no choice depends on files, cores or other choices."""

import hashlib
from collections.abc import Iterable

import numpy as np


def hash_order(keys: Iterable[str], seed: int) -> np.ndarray:
    """Return a sort key for each key that depends on it and the seed only: uint64 (N,)."""
    prefix = hashlib.blake2b(f"{seed}:".encode(), digest_size=8)
    digests = bytearray()
    for key in keys:
        digest = prefix.copy()
        digest.update(key.encode())
        digests += digest.digest()
    return np.frombuffer(bytes(digests), dtype=">u8").astype(np.uint64)
