"""Spark's daemon of Python workers, whose workers note what they spend their time on (`spark.python.daemon.module`)."""

from __future__ import annotations

import socket

from pyspark import daemon

_worker = daemon.worker


def worker(sock: socket.socket, authenticated: bool) -> int:
    """One task, in a process of the daemon's; what starts threads is imported here, after the fork."""
    from bench.llmsql import timed_worker

    timed_worker.install()
    return _worker(sock, authenticated)


if __name__ == "__main__":
    daemon.worker = worker
    daemon.manager()
