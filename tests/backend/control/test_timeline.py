"""Series of an engine's requests: bounded, without gaps, and those of several engines as one."""

from __future__ import annotations

import pytest

from sparkllm.backend.control.messages import Account, Report
from sparkllm.backend.control.queries import Queries
from sparkllm.backend.control.timeline import Load, Recorder, merged


def recorded(seconds: float, most: int = 120) -> Recorder:
    """A batch that falls from `seconds` times 10 to 0, looked at twenty times a second."""
    recorder = Recorder(100.0, Load(0), most)
    for look in range(int(seconds * 20)):
        recorder.look(100.0 + look / 20, Load(int(10 * (seconds - look / 20))))
    return recorder


@pytest.mark.parametrize(("seconds", "period"), [(5, 0.25), (30, 0.25), (31, 0.5), (500, 8.0), (2000, 32.0)])
def test_a_long_query_has_no_more_points_than_a_short_one_and_the_same_shape(seconds: float, period: float) -> None:
    series = recorded(seconds).series(100.0 + seconds)
    assert (series.period, len(series.points)) == (period, -(-seconds // period))
    moments = merged([(1000.0, series)])
    assert moments[0].seconds == period / 2
    for moment in moments[:-1]:
        assert moment.requests == pytest.approx(10 * (seconds - moment.seconds), abs=1)


def test_sums_grow_within_a_period_whatever_others_did_in_a_pause() -> None:
    recorder = Recorder(0.0, Load(4, steps=100, decodes=400, drafted=400))
    recorder.look(0.1, Load(4, 102, 408, 416))
    recorder.resume(1.05, Load(4, 500, 2000, 2000))
    recorder.look(1.1, Load(4, 501, 2004, 2004))
    moments = merged([(2.0, recorder.series(2.0))])
    assert [(m.requests, m.decoding, m.draft_length) for m in moments if m.requests] == [(4, 4, 2), (4, 4, 1)]
    assert [(m.requests, m.decoding, m.draft_length) for m in moments[1:4]] == [(0, None, None)] * 3


def test_engines_of_other_periods_are_added_up_at_the_driver_even_after_a_lost_report() -> None:
    long, short = recorded(60), recorded(10)
    driver, told = Queries(), [("a", 1, 30, long), ("a", 3, 60, long), ("b", 1, 10, short)]
    for engine, number, at, one in told:
        account = Account({}, open=True, series=one.series(100.0 + at))
        driver.take(Report.from_json(Report(engine, number, {"7": account}).to_json()), 5000.0 + at)
    moments = driver.timeline("7")
    assert len(moments) == 120
    for moment in moments:
        both = 10 * max(0, 10 - moment.seconds) + 10 * (60 - moment.seconds)
        assert moment.requests == pytest.approx(both, abs=6)


def test_a_server_that_was_held_up_leaves_no_gap() -> None:
    recorder = Recorder(0.0, Load(0))
    for now in (0.1, 1.6):
        recorder.look(now, Load(5))
    assert [m.requests for m in merged([(2.0, recorder.series(2.0))])] == [5] * 7


def test_time_begins_with_the_first_request() -> None:
    recorder = Recorder(0.0, Load(0))
    for look in range(40):
        recorder.look(look / 20, Load(0 if look < 20 else 3))
    assert [(m.seconds, m.requests) for m in merged([(2.0, recorder.series(2.0))])] == [
        (0.125, 3), (0.375, 3), (0.625, 3), (0.875, 3),
    ]  # fmt: skip


def test_a_look_at_an_idle_engine_is_no_moment() -> None:
    assert merged([(1.0, Recorder(0.0, Load(0)).series(1.0))]) == ()
