"""Text that makes files large."""

import random

__all__ = ["noise"]


def noise(seed: int, length: int) -> str:
    """Text that Parquet cannot make small."""
    return random.Random(seed).randbytes(length // 2).hex()
