"""Rows that try to leave their fields, from SQL to the engine and back: each is answered, and by a label."""

from __future__ import annotations

import random

from pyspark.sql import SparkSession

from tests.udf.hostile_values import hostile_value

LABELS = {"negative", "neutral", "positive"}


def test_hostile_rows_are_answered_like_any_other(spark: SparkSession) -> None:
    rng = random.Random(7)
    values = [hostile_value(rng) for _ in range(60)]
    rows = [(i, value) for i, value in enumerate(values) if value is None or len(value) < 500]
    spark.createDataFrame(rows, "id INT, review STRING").createOrReplaceTempView("hostile")
    asked = "llm('classify', review), llm('Is it of {review}?', review, labels => array('yes', 'no'))"
    found = spark.sql(f"SELECT id, review, {asked} FROM hostile").collect()
    assert len(found) == len(rows)
    assert {row[0]: row[1] for row in found} == dict(rows), "values come back as they were"
    assert all((row[2] in LABELS) == (row[3] in ("yes", "no")) == (row[1] is not None) for row in found)


def test_a_string_that_is_no_utf8_is_answered(spark: SparkSession) -> None:
    query = "SELECT llm('classify', review) FROM VALUES (CAST(X'FF41' AS STRING)), ('It broke.') AS t(review)"
    assert {row[0] for row in spark.sql(query).collect()} <= LABELS
