"""How many cores this process may really use: the scheduler's mask and the container's quota."""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["usable_cores"]


def usable_cores(quota_file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """At least 1. OpenMP with a thread per core of the host would crawl inside a container's quota of a few."""
    mask = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = quota_file.read_text().split()
        return max(1, min(mask, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        # No cgroup v2, or the word "max".
        return max(1, mask)
