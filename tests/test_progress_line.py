"""The bar's lines: what they say at which moment, and how they share a terminal with others."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator

import pytest

from sparkllm.progress_display import Lines, Terminal, rendered
from sparkllm.progress_line import Line, Pace, Running
from tests.terminal import screen

LINE = Line("query 6", 0.5, (("171/342 rows", 5), ("4/8 tasks", 0), ("3,064 tok/s", 8), ("0:12", 1), ("0:13 left", 7)))


def running(rows: int = 0, of_rows: int | None = None, done: int = 0, seconds: float = 9.0) -> Running:
    return Running("6", True, "auto", 8, done, rows, of_rows, seconds)


def counters(finished: int, prompt: int, cached: int = 0, from_ledger: int = 0) -> dict[str, int]:
    return {
        "finished": finished,
        "prompt_tokens": prompt,
        "cached_tokens": cached,
        "output_tokens": 0,
        "from_ledger": from_ledger,
    }


def said(line: Line) -> str:
    return line.fitted(1000)


def test_rows_calls_speed_hits_and_time_left_are_said() -> None:
    pace = Pace()
    pace.line(running(0, 400), counters(0, 0), 100.0)
    line = pace.line(running(100, 400, 2), counters(60, 8_000, 6_000), 110.0)
    assert line.name == "query 6"
    assert line.share == 0.25
    assert said(line) == "100/400 rows  2/8 tasks  60 calls  800 tok/s  75 % hits  0:09  0:30 left"


def test_the_time_left_runs_down_between_two_counts_of_rows_and_never_below_nothing() -> None:
    pace = Pace()
    pace.line(running(0, 400), counters(0, 0), 100.0)
    assert "0:10 left" in said(pace.line(running(200, 400), counters(1, 1), 110.0))
    assert "0:04 left" in said(pace.line(running(200, 400), counters(2, 2), 116.0))
    assert "left" not in said(pace.line(running(200, 400), counters(3, 3), 125.0))


def test_where_the_number_of_rows_is_unknown_there_are_tasks_and_no_time_left() -> None:
    pace = Pace()
    pace.line(running(), counters(0, 0), 100.0)
    line = pace.line(running(100, None, 2), counters(60, 8_000), 110.0)
    assert line.share == 0.25
    assert said(line).startswith("100 rows  2/8 tasks")
    assert "left" not in said(line)


def test_before_the_first_answer_nothing_is_made_up() -> None:
    assert said(Pace().line(running(0, 400, seconds=75.0), None, 100.0)) == "0/400 rows  0/8 tasks  no answer yet  1:15"


def test_the_speed_is_that_of_the_last_ten_seconds() -> None:
    pace = Pace()
    for second in range(60):
        line = pace.line(running(), counters(1, 1_000 * min(second, 30)), 100.0 + second)
    assert "0 tok/s" in said(line).split("  ")


def test_answers_from_the_ledger_are_named() -> None:
    assert "7 kept" in said(Pace().line(running(), counters(0, 0, from_ledger=7), 1.0))


def test_an_rdds_stage_has_a_name_too() -> None:
    assert Pace().line(Running("stage-7", True, "auto", 1, 0, 0, None, 1.0), None, 1.0).name == "stage 7"


@pytest.mark.parametrize("width", [24, 40, 60, 80, 200])
def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    shown = rendered([LINE, Line("stage 12", 1.0, LINE.parts)], width, False)
    assert len(shown) == 2
    assert max(map(len, shown)) <= width


def test_what_matters_least_goes_first() -> None:
    [wide], [narrow] = rendered([LINE], 90, False), rendered([LINE], 50, False)
    assert all(text in wide for text, _ in LINE.parts)
    assert "3,064 tok/s" in narrow
    assert "0:13 left" in narrow
    assert "4/8 tasks" not in narrow


def test_a_terminal_without_unicode_gets_plain_characters() -> None:
    assert rendered([LINE], 80, True, "ascii")[0].isascii()


class Screen(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """As a terminal's line discipline does."""
        super().write(text.replace("\n", "\r\n"))
        return len(text)


@contextlib.contextmanager
def terminal() -> Iterator[tuple[Screen, Terminal]]:
    """One screen that standard output and error share, as a user's. Not a fixture: pytest puts its own streams back."""
    out = Screen()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        bar = Terminal(out)
        yield out, bar
        bar.draw([])
        assert sys.stdout is out
        assert sys.stderr is out


def test_the_bar_disappears_and_leaves_the_streams_as_they_were() -> None:
    with terminal() as (out, bar):
        bar.draw([LINE])
        assert "171/342 rows" in "".join(screen(out.getvalue()))
        bar.draw([LINE, Line("query 7", 0.1, LINE.parts)])
        assert [text[:7] for text in screen(out.getvalue())] == ["query 6", "query 7"]
        bar.draw([])
        assert screen(out.getvalue()) == [""]
        assert sys.stdout is out


def test_many_queries_do_not_fill_the_screen() -> None:
    with terminal() as (out, bar):
        bar.draw([LINE] * 30)
        assert len(screen(out.getvalue())) == 9
        assert screen(out.getvalue())[-1] == "and 22 more"


def test_an_output_that_goes_elsewhere_is_left_alone() -> None:
    pipe = io.StringIO()
    with terminal() as (_, bar), contextlib.redirect_stdout(pipe):
        bar.draw([LINE])
        assert sys.stdout is pipe
        print("a row")
        bar.draw([])
    assert pipe.getvalue() == "a row\n"


def test_what_python_prints_stands_whole_above_the_bar() -> None:
    with terminal() as (out, bar):
        bar.draw([LINE])
        print("mine")
        print("also mine", file=sys.stderr)
        bar.draw([LINE])
        shown = screen(out.getvalue())
        assert shown[:2] == ["mine", "also mine"]
        assert shown[2].startswith("query 6")
        bar.draw([])
        assert screen(out.getvalue()) == ["mine", "also mine", ""]


def test_a_line_that_somebody_has_begun_is_not_wiped() -> None:
    with terminal() as (out, bar):
        bar.draw([LINE])
        print("working ... ", end="")
        bar.draw([LINE])
        assert screen(out.getvalue()) == ["working ..."]
        print("done")
        bar.draw([LINE])
        assert screen(out.getvalue())[0] == "working ... done"
        assert screen(out.getvalue())[1].startswith("query 6")


def test_a_log_line_that_is_written_past_python_stands_whole_if_it_is_long() -> None:
    with terminal() as (out, bar):
        bar.draw([LINE, LINE])
        out.write("WARN " * 30 + "\n")
        bar.draw([LINE, LINE])
        shown = screen(out.getvalue())
        assert shown[0] == ("WARN " * 30).rstrip()
        assert [text[:7] for text in shown[1:]] == ["query 6", "query 6"]


def test_without_a_terminal_a_line_comes_at_the_end_of_a_query(capsys: pytest.CaptureFixture[str]) -> None:
    display = Lines()
    display.draw([LINE])
    assert capsys.readouterr().err == ""
    display.draw([], [LINE])
    assert capsys.readouterr() == ("", f"sparkllm: query 6: {said(LINE)}\n")
