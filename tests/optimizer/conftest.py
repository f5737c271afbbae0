"""Sessions that several files of tests share, one of its own for each file."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from sparkllm.spark_session import register
from tests.optimizer import capitals, co_located


@pytest.fixture(scope="module")
def plans(spark: SparkSession) -> SparkSession:
    """Small tables. What earlier queries kept is left out but where a test says so."""
    session = register(spark.newSession(), optimizer_learn_selectivity=False, _function=capitals.stand_in())
    session.sql("""CREATE TEMP VIEW t AS SELECT int(id) AS id, array('good', 'bad', 'ok', 'meh')[id % 4] AS review,
                   array('a', 'b')[id % 2] AS title FROM range(0, 12, 1, 2)""")
    session.sql("CREATE TEMP VIEW s AS SELECT *, named_struct('c', review, 'd', id) AS b FROM t")
    session.sql("CREATE TEMP VIEW u AS SELECT id AS uid, title AS utitle FROM t WHERE id < 3")
    session.sql("CREATE TEMP VIEW k AS SELECT * FROM VALUES (0, 'a'), (1, 'b'), (2, 'a') AS k(uid, utitle)")
    session.udf.register("exclaim", lambda text: text + "!", "string")
    session.readStream.format("rate").load().createOrReplaceTempView("stream")
    return session


@pytest.fixture(scope="module")
def placed(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> SparkSession:
    """A session with the rows of `reviews`, one copy after the other."""
    return co_located.placed_session(spark, co_located.reviews(lambda _: 300), tmp_path_factory.mktemp("t"))
