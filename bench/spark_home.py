"""A SPARK_HOME for Spark's workers on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pyspark

__all__ = ["own_spark_home"]


def own_spark_home(folder: Path) -> None:
    """Spark's workers write into SPARK_HOME/work: in a wheel, that is where packages are installed."""
    folder.mkdir()
    installed = Path(os.environ.get("SPARK_HOME") or Path(pyspark.__file__).parent)
    for file in installed.iterdir():
        if file.name != "work":
            (folder / file.name).symlink_to(file)
    os.environ["SPARK_HOME"] = str(folder)
