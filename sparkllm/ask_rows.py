"""Ask about some rows of a call by themselves, in one task, as a query would."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sparkllm.calls import LLMCall
from sparkllm.config import PREFIX

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["ask_rows"]

# A budget is one query's, leased from the driver's service, whose address the plan alone brings to the workers.
_BUDGET = frozenset(f"{PREFIX}{name}" for name in ("maxCalls", "maxTotalTokens", "maxSeconds", "maxCost"))


def ask_rows(
    spark: SparkSession,
    conf: Mapping[str, str],
    call: LLMCall,
    rows: Sequence[tuple[str | None, ...]],
    order: str = "",
) -> list[Any]:
    """What the worker answers for each row, in order: `sparkllm.udf.evaluation.RESULT`.

    Args:
        spark: the session.
        conf: `spark.sparkllm.*` entries that hold for it; those of a budget do not, the caller sees to it.
        call: what is asked.
        rows: its fields.
        order: the fields as they stand in the prompts, "2,0,1"; empty: the worker chooses.
    """
    from pyspark.sql import functions as F

    from sparkllm.spark_session import FUNCTION

    application = spark.sparkContext.applicationId
    settings = {key: value for key, value in conf.items() if key not in _BUDGET}
    request = json.dumps({"call": json.loads(call.to_json()), "conf": settings, "application": application})
    names = [f"f{i}" for i in range(len(call.fields))]
    columns = ", ".join(["at int", *(f"{name} string" for name in names)])
    frame = spark.createDataFrame([(i, *row) for i, row in enumerate(rows)], columns).coalesce(1)
    answer = F.call_function(FUNCTION, F.lit(request), F.struct(*names), *([F.lit(order)] if order else [])).alias("a")
    return [row.a for row in sorted(frame.select("at", answer).collect())]
