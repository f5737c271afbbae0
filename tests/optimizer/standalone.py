"""A standalone Spark cluster on this machine: a master, and workers that offer made-up GPUs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pyspark

__all__ = ["Cluster", "status"]

_START_SECONDS = 60.0


class Cluster:
    """`with Cluster(folder) as cluster:`; all its processes end with the block."""

    def __init__(self, folder: Path) -> None:
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._folder = folder
        self._port = _free_port()

    @property
    def master(self) -> str:
        return f"spark://127.0.0.1:{self._port}"

    def __enter__(self) -> Cluster:
        self._folder.mkdir(parents=True, exist_ok=True)
        arguments = ["--host", "127.0.0.1", "--port", str(self._port), "--webui-port", "0"]
        self._master = self._start("master", "org.apache.spark.deploy.master.Master", arguments)
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return self
            time.sleep(0.2)
        raise TimeoutError((self._folder / "master.log").read_text())

    def __exit__(self, *_: object) -> None:
        for name in list(self.workers):
            self.kill(name)
        self._master.kill()
        self._master.wait()

    def add(self, name: str, host: str, cores: int) -> None:
        """Start a worker that goes by another address of this machine: to Spark, another host."""
        arguments = ["--host", host, "--webui-port", "0", "-c", str(cores), "-m", "4g", "-d", str(self._folder / name)]
        self.workers[name] = self._start(name, "org.apache.spark.deploy.worker.Worker", [*arguments, self.master])

    def offer(self, name: str, resource: str, cores: int = 8) -> None:
        """Start a worker with one device of this resource."""
        script = self._folder / f"{name}.sh"
        script.write_text(f"#!/bin/sh\necho '{json.dumps({'name': resource, 'addresses': ['0']})}'\n")
        script.chmod(0o755)
        key = f"-Dspark.worker.resource.{resource}"
        options = f"{key}.amount=1 {key}.discoveryScript={script}"
        arguments = ["--host", "127.0.0.1", "--webui-port", "0", "-c", str(cores), "-m", "16g"]
        arguments += ["-d", str(self._folder / name), self.master]
        self.workers[name] = self._start(name, "org.apache.spark.deploy.worker.Worker", arguments, options)

    def kill(self, name: str) -> None:
        """A worker and its executors, as when its machine is lost."""
        worker = self.workers.pop(name)
        for process in [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.Error:
                continue
        worker.wait()

    def _start(self, name: str, kind: str, arguments: list[str], options: str = "") -> subprocess.Popen[bytes]:
        home = Path(os.environ.get("SPARK_HOME") or Path(pyspark.__file__).parent)
        environment = {**os.environ, "SPARK_DAEMON_MEMORY": "256m", "SPARK_WORKER_OPTS": options}
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        with (self._folder / f"{name}.log").open("wb") as log:
            command = ["bash", str(home / "bin" / "spark-class"), kind, *arguments]
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


def status(url: str, path: str) -> Any:
    """What Spark's own status service says of the one application at this address."""
    with urllib.request.urlopen(f"{url}/api/v1/applications", timeout=30) as answer:
        application = json.load(answer)[0]["id"]
    with urllib.request.urlopen(f"{url}/api/v1/applications/{application}/{path}", timeout=30) as answer:
        return json.load(answer)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
