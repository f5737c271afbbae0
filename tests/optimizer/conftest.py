"""Sessions that several files of tests share, one of its own for each file."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from tests.optimizer import capitals, co_located


@pytest.fixture(scope="module")
def plans(spark: SparkSession) -> SparkSession:
    """Small tables and a stand-in for the engine."""
    return capitals.small_tables(spark, capitals.stand_in())


@pytest.fixture(scope="module")
def placed(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SparkSession:
    """A session with the rows of `reviews`, one copy after the other."""
    return co_located.placed_session(spark, co_located.reviews(lambda _: 300), tmp_path_factory.mktemp("t"))
