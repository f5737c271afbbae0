"""A Spark Connect server out of the pip package, in a process of its own, as sbin/start-connect-server.sh starts it."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pyspark
from pyspark.sql import SparkSession
from pyspark.sql.connect.session import SparkSession as ConnectSession

__all__ = ["connect", "connect_server"]

_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"
_START_SECONDS = 120
_PR_SET_PDEATHSIG = 1
_ROOT = Path(__file__).parents[2]


def connect(url: str) -> SparkSession:
    """A new session. Not by SparkSession.builder, as the tests' own process has a classic session."""
    return cast(SparkSession, ConnectSession.builder.remote(url).create())  # PySpark's two have no common type


@contextmanager
def connect_server(folder: Path, **conf: str) -> Iterator[str]:
    """Gives its address, sc://localhost:<port>; `folder` takes its log."""
    home, port = Path(pyspark.__file__).parent, _free_port()
    settings = {
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    named = [part for key, value in {**settings, **conf}.items() for part in ("--conf", f"{key}={value}")]
    command = [str(home / "bin/spark-submit"), "--class", _CLASS, "--master", "local[2]", *named, "spark-internal"]
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable}
    environment |= {"PYTHONPATH": os.pathsep.join(paths), "SPARK_LOCAL_DIRS": str(folder)}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True, preexec_fn=_end_with_parent
        )
        try:
            _await(server, port, folder / "server.log")
            yield f"sc://localhost:{port}"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)


def _end_with_parent() -> None:
    """In the child: tests that are killed leave no server behind (Linux; spark-submit becomes java by exec)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return int(one.getsockname()[1])


def _await(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as one:
            if one.connect_ex(("localhost", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError(f"the Connect server did not start: {log.read_text(errors='replace')[-2000:]}")
