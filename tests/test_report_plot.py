"""The report's figure: what its bars and curves say, and what stands there where nothing is known."""

from __future__ import annotations

import io
import struct
import sys
from dataclasses import replace
from typing import Any

import pytest
from pyspark.sql import SparkSession

import sparkllm
from sparkllm import llm
from sparkllm.backend.control.timeline import Moment
from sparkllm.errors import SparkLLMError
from sparkllm.plain_report import PlainReport
from sparkllm.report import QueryReport
from tests.test_report import CALL, COUNTS, report

MOMENTS = tuple(Moment(0.25 * (i + 0.5), 10.0 - i, 8.0 - i, 1.0 + i) for i in range(5))
SECOND = {
    "call": CALL | {"task": None, "prompt": "Is it $1, $2 or {more}?"},
    **COUNTS,
    "rows": 300,
    "ledger_prompts": 0,
}


def plot(one: QueryReport) -> Any:
    return one.plot()  # Any: what hangs on matplotlib's axes has no types of its own


def texts(figure: Any) -> str:
    return " | ".join(text.get_text() for panel in figure.axes for text in panel.texts)


def bars(panel: Any) -> list[tuple[float, float]]:
    return [(bar.get_x(), bar.get_width()) for bar in panel.patches]


def test_a_calls_prompt_tokens_are_one_bar_of_three_parts() -> None:
    assert bars(plot(report()).axes[0]) == [(0, 350), (350, 150), (500, 500)]
    assert "50 % cached" in texts(plot(report()))


def test_rows_prompts_and_requests_are_bars_of_one_scale() -> None:
    assert [width for _, width in bars(plot(report()).axes[1])] == [100, 60, 8, 50]


def test_each_call_has_its_name_and_its_own_bars() -> None:
    figure = plot(report(calls=[{"call": CALL, **COUNTS}, SECOND]))
    assert len(bars(figure.axes[0])) == 6
    assert [width for _, width in bars(figure.axes[1])] == [100, 60, 8, 50, 300, 60, 50]
    assert "llm('classify', review)" in texts(figure)
    assert "Is it $1, $2 or {more}?" in texts(figure)
    figure.savefig(io.BytesIO(), format="svg")  # what is no mathematics is not read as such


def test_batch_and_draft_length_are_drawn_over_time() -> None:
    figure = plot(replace(report(), timeline=MOMENTS))
    time, right = figure.axes[2:]
    assert list(time.patches[0].get_data().values) == [10, 9, 8, 7, 6]
    assert list(time.patches[0].get_data().edges) == [0, 0.25, 0.5, 0.75, 1.0, 1.25]
    assert list(time.lines[0].get_ydata()) == [8, 7, 6, 5, 4]
    assert list(right.lines[0].get_ydata()) == [1, 2, 3, 4, 5]


def test_without_speculation_there_is_the_batch_alone() -> None:
    moments = tuple(replace(moment, decoding=None, draft_length=None) for moment in MOMENTS)
    figure = plot(replace(report(), timeline=moments))
    assert len(figure.axes) == 3
    assert list(figure.axes[2].patches[0].get_data().values) == [10, 9, 8, 7, 6]


def test_panels_without_data_say_so() -> None:
    assert "nothing is known: too short, or no engine reached the driver" in texts(plot(report()))
    kept = {"call": CALL, **COUNTS, "requests": 0, "prompt_tokens": 0, "cached_tokens": 0, "cached_data_tokens": 0}
    assert "no prompt was sent | " in texts(plot(report(calls=[kept])))
    assert texts(plot(report(calls=[kept]))).endswith("no request was sent")
    assert "not known of single calls" in texts(plot(PlainReport(7, 0.0, True, None, (), {"requests": 3}, hosts=1)))


def test_a_notebook_shows_it_without_pyplot() -> None:
    data, size = plot(replace(report(), timeline=MOMENTS))._repr_png_()
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    assert (width, height) == (1296, round(144 * size["height"] / 100))
    assert len(data) < 150_000


def test_without_matplotlib_it_says_what_to_install_and_the_table_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "sparkllm.report_plot", raising=False)
    with pytest.raises(SparkLLMError, match=r"plot\(\) takes matplotlib, found none: pip install 'sparkllm\[plot\]'"):
        report().plot()
    assert "<svg" in report()._repr_html_()


def test_a_query_on_the_real_engine_has_its_batch_over_time(spark: SparkSession) -> None:
    rows = [(f"review {i} that says this and that",) for i in range(400)]
    frame = spark.createDataFrame(rows, "review string").coalesce(1)
    frame.select(llm("Write down all that comes to your mind.", "review", max_tokens=40)).collect()
    one = sparkllm.last_report(spark)
    print(*one.timeline, sep="\n")
    assert one.timeline
    assert 50 < max(moment.requests for moment in one.timeline) <= 400
    assert one.timeline[-1].seconds < one.seconds
    assert list(plot(one).axes[2].patches[0].get_data().values) == [moment.requests for moment in one.timeline]
