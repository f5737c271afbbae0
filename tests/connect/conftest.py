"""One Spark Connect server for the tests of this folder, and sessions on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import StringType

from sparkllm.plain_session import ready
from tests.connect.counted import Counted
from tests.connect.server import connect, connect_server

VIEWS = (
    """t AS SELECT int(id) AS id, array('good', 'bad', 'ok', 'meh')[id % 4] AS review, array('a', 'b')[id % 2] AS title
       FROM range(0, 12, 1, 2)""",
    "s AS SELECT *, named_struct('c', review, 'd', id) AS b FROM t",
    "u AS SELECT id AS uid, title AS utitle FROM t WHERE id < 3",
    "k AS SELECT * FROM VALUES (0, 'a'), (1, 'b'), (2, 'a') AS k(uid, utitle)",
)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with connect_server(tmp_path_factory.mktemp("connect")) as url:
        yield url


@pytest.fixture(scope="module")
def remote(server: str) -> Iterator[SparkSession]:
    """A session without anything of ours."""
    session = connect(server)
    yield session
    session.stop()


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Counted:
    return Counted(tmp_path_factory.mktemp("asked") / "asked.jsonl")


@pytest.fixture(scope="module")
def plain(remote: SparkSession, counted: Counted) -> SparkSession:
    """Small tables, and a stand-in for the engine that counts: tests of plans."""
    ready(remote, counted.function())
    for view in VIEWS:
        remote.sql(f"CREATE OR REPLACE TEMP VIEW {view}")
    remote.udf.register("exclaim", lambda text: text + "!", StringType())
    return remote


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("remote_engines")
    folder.chmod(0o700)
    return folder
