"""One Spark session and one engine for the whole run: starting either takes longer than most tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm.backend.client import stop as stop_engines
from sparkllm.demo.__main__ import read_reviews

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may depend on a model hub

# Java compiles more than it runs in tests, many of which have JVMs of their own: its quick compiler alone, and no
# threads for the garbage, save a quarter of the time on two cores. The form is spark-submit's, which starts them all.
_QUICK_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
os.environ.setdefault("SPARK_SUBMIT_OPTS", f'{_QUICK_JAVA} "-Dspark.executor.extraJavaOptions={_QUICK_JAVA}"')
os.environ.setdefault("SPARK_DAEMON_JAVA_OPTS", _QUICK_JAVA)


@pytest.fixture(scope="session")
def runtime_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A folder of this run's own, so that no engine of another run is found or stopped."""
    folder = tmp_path_factory.mktemp("engines")
    folder.chmod(0o700)
    yield str(folder)
    stop_engines(config=sparkllm.LLMConfig(runtime_dir=str(folder)))


@pytest.fixture(scope="session")
def spark(runtime_dir: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session with the demo model; its engine starts with the first query that calls it.

    Without the ledger, as tests count the requests of queries that others have asked before.
    """
    session = sparkllm.session(
        model="demo",
        master="local[2]",
        runtime_dir=runtime_dir,
        kv_cache_gib=1,
        ledger="off",
        start_notice_seconds=0,
        **{
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.shuffle.partitions": "2",
            # what Spark writes down of a query, where no secret may be found
            "spark.eventLog.enabled": "true",
            "spark.eventLog.compress": "false",
            "spark.eventLog.dir": str(tmp_path_factory.mktemp("events")),
            "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
        },
    )
    yield session
    session.stop()


@pytest.fixture(scope="module")
def shop(spark: SparkSession) -> Iterator[SparkSession]:
    """The demo's table, `reviews`, as one list of rows in one task."""
    read_reviews(spark).coalesce(1).createOrReplaceTempView("reviews")
    yield spark
    spark.sql("DROP VIEW IF EXISTS reviews")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of the public tables, where there is one."""
    folder = Path(os.environ.get("SPARKLLM_DATA", "."))
    if not (folder / "beer.csv").exists():
        pytest.skip("set SPARKLLM_DATA to a folder with beer.csv and airline_tweets.csv")
    return folder
