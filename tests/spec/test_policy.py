"""The policy on simulated engines: near the best fixed length where speculation pays, harmless where it does not."""

from __future__ import annotations

import numpy as np
import pytest

from sparkllm.spec.goodput import Gains
from sparkllm.spec.policy import Drafter, DraftPolicy, PlannedStep
from sparkllm.spec.profile import Profile
from sparkllm.spec.share import share
from sparkllm.spec.step_time import Step, StepTime
from sparkllm.spec.workload import run
from tests.spec.two_cores import Steady, goodputs, measured_profile, profile

DRAFTERS: tuple[Drafter, ...] = ("ngram", "model")
STEPS, NOISE = 300, 0.05


def a_policy(drafter: Drafter = "ngram", most: int = 8) -> DraftPolicy:
    return DraftPolicy(most, StepTime(measured_profile(drafter)), drafter)


def decode(policy: DraftPolicy, work: Steady, drafter: Drafter, seed: int = 0) -> float:
    """Tokens a second, as expected of the lengths chosen: luck in the drafts is no merit."""
    outcome = run(work, policy, StepTime(profile(drafter)), drafter, seed, NOISE)
    return outcome.expected / outcome.seconds


@pytest.mark.parametrize("drafter", DRAFTERS)
@pytest.mark.parametrize("acceptance", [0.0, 0.05, 0.3, 0.6, 0.8, 0.9])
@pytest.mark.parametrize("batch", [1, 4, 16, 64])
def test_every_cell_of_the_table_is_near_its_best_length(drafter: Drafter, acceptance: float, batch: int) -> None:
    policy, work = a_policy(drafter), Steady(batch, acceptance, 100)
    first = decode(policy, work, drafter)
    steady = decode(policy, work.go_on(STEPS), drafter, seed=1)
    fixed = goodputs(batch, acceptance, drafter)
    assert steady >= 0.95 * max(fixed)
    assert steady >= 0.98 * fixed[0]
    assert first >= 0.96 * fixed[0]  # with what is lent at start


def test_what_was_saved_is_not_spent_on_probes_of_new_requests() -> None:
    """Short answers: every nine steps each request is one of which nothing is known. Times of 56 M parameters."""
    truth = StepTime(Profile([(64, 0, 0.0258), (128, 0, 0.042), (192, 0, 0.0577)], [(64, 0, 0.0), (64, 1, 0.00062)]))
    policy, work = DraftPolicy(8, truth, "model"), Steady(64, 0.3, 100)
    run(work, policy, truth, "model", 0, NOISE)
    policy.allowance.balance = 8.0 * policy.step.plain  # as after a time in which drafts paid
    seconds = tokens = 0.0
    for seed in range(1, 12):
        for request in work.all:
            policy.forget(request.name)
        outcome = run(work.go_on(9), policy, truth, "model", seed, NOISE)
        seconds, tokens = seconds + outcome.seconds, tokens + outcome.expected
    assert tokens / seconds >= 0.97 * 64 / truth.seconds(Step(64))


@pytest.mark.parametrize("drafter", DRAFTERS)
@pytest.mark.parametrize("batch", [1, 4, 16, 64])
@pytest.mark.parametrize(("before", "after"), [(0.9, 0.1), (0.1, 0.9)])
def test_a_jump_is_followed_within_200_steps(drafter: Drafter, batch: int, before: float, after: float) -> None:
    policy, work = a_policy(drafter), Steady(batch, before, 300)
    decode(policy, work, drafter)
    decode(policy, work.go_on(200, after), drafter, seed=1)
    steady = decode(policy, work.go_on(400), drafter, seed=2)
    assert steady >= 0.93 * max(goodputs(batch, after, drafter))


@pytest.mark.parametrize("drafter", DRAFTERS)
def test_speculation_that_never_pays_costs_its_share_and_two_steps_at_most(drafter: Drafter) -> None:
    for batch in (1, 4, 16, 64):
        policy, truth = a_policy(drafter), StepTime(profile(drafter))
        seconds = run(Steady(batch, 0.0, 600), policy, truth, drafter, 0).seconds
        assert seconds <= ((1 + share(batch)) * 600 + 2) * truth.seconds(Step(batch))
        assert policy.summary()["steps_without_drafts"] < 600  # it still looks now and then


@pytest.mark.parametrize("part", [0.5, 2.0])
@pytest.mark.parametrize(("batch", "acceptance"), [(16, 0.3), (16, 0.8), (64, 0.5)])
def test_a_profile_wrong_by_half_costs_little(batch: int, acceptance: float, part: float) -> None:
    truth = profile("model")
    least = truth.target[0][2]
    wrong = Profile([(n, c, least + part * (seconds - least)) for n, c, seconds, *_ in truth.target], truth.draft)
    policy, work = DraftPolicy(8, StepTime(wrong), "model"), Steady(batch, acceptance, 200)
    decode(policy, work, "model")
    steady = decode(policy, work.go_on(400), "model", seed=1)
    assert steady >= 0.94 * max(goodputs(batch, acceptance, "model"))


def behind_a_step(measured: tuple[int, ...]) -> StepTime:
    """Times of 56 M parameters in bfloat16: 65 to 192 tokens take 22 ms more than 64, more than is lent at start.

    Of those between, a profile has only what was `measured`.
    """
    points = [(64, 0, 0.0295), *((n, 0, 0.0515) for n in measured), (192, 0, 0.052), (256, 0, 0.0694), (576, 0, 0.142)]
    return StepTime(Profile(points, [(64, 0, 0.0), (64, 1, 0.0031), (64, 4, 0.0081), (64, 8, 0.0122)]))


@pytest.mark.parametrize("measured", [(65, 128), (128,)])
@pytest.mark.parametrize("before", [None, 0.3])
def test_drafts_that_pay_are_found_behind_a_step_in_the_time_curve(
    measured: tuple[int, ...], before: float | None
) -> None:
    truth = behind_a_step(measured)
    policy, work = DraftPolicy(8, truth, "model"), Steady(64, before or 0.9, 200 if before else 0)
    if before:
        run(work, policy, truth, "model", 2, NOISE)
        assert policy.summary()["steps_without_drafts"] > 150
    run(work.go_on(200, 0.9), policy, truth, "model", 0, NOISE)
    outcome = run(work.go_on(100), policy, truth, "model", 1, NOISE)
    best = max(64 * (1 - 0.9 ** (k + 1)) / 0.1 / truth.seconds(Step(64, 64 * k, draft_length=k)) for k in range(9))
    assert best > 1.3 * 64 / truth.seconds(Step(64))
    assert outcome.expected / outcome.seconds >= 0.97 * best


@pytest.mark.parametrize("drafter", DRAFTERS)
def test_a_batch_at_zero_comes_back(drafter: Drafter) -> None:
    policy, work = a_policy(drafter), Steady(64, 0.2, 500)
    decode(policy, work, drafter)
    before = policy.totals.drafted
    decode(policy, work.go_on(100), drafter, seed=1)
    assert policy.totals.drafted - before < 0.03 * 100 * 64
    decode(policy, work.go_on(200, 0.97), drafter, seed=2)
    before = policy.totals.drafted
    decode(policy, work.go_on(100), drafter, seed=3)
    assert policy.totals.drafted - before > 100 * 64


def test_requests_unlike_each_other_get_lengths_of_their_own() -> None:
    policy, work = a_policy(), Steady(16, 0.1, 0)
    for request in work.all[:4]:
        request.acceptance = 0.95
    decode(policy, work.go_on(200), "ngram")
    lengths = list(policy.choose([(r.name, 0, 8) for r in work.all]).values())
    assert np.mean(lengths[:4]) > 4
    assert np.mean(lengths[4:]) < 0.5


@pytest.mark.parametrize("drafter", [*DRAFTERS, "suffix"])
def test_lengths_stay_within_their_bounds(drafter: Drafter) -> None:
    policy, rng = a_policy(drafter, most=5), np.random.default_rng(0)
    for step in range(300):
        offers = {f"r{i}": int(rng.integers(-1, 12)) for i in range(int(rng.integers(0, 20)))}
        asked = policy.next_length
        lengths = policy.choose([(i, 100, k) for i, k in offers.items()], int(rng.integers(0, 2)) * 200)
        assert lengths.keys() == offers.keys()
        for request_id, k in lengths.items():
            assert type(k) is int
            assert 0 <= k <= min(5, offers[request_id] if offers[request_id] >= 0 else asked)
        assert 0 <= policy.next_length <= 5
        policy.observe([(i, k, int(rng.integers(0, k + 1))) for i, k in lengths.items()], 0.01 * (step % 7 + 1))


def test_a_longest_draft_of_none_is_no_speculation() -> None:
    policy = a_policy("model", most=0)
    assert policy.choose([("r", 10, -1)]) == {"r": 0}
    policy.observe([("r", 0, 0)], 0.03)
    assert policy.next_length == 0


def test_only_requests_with_a_match_are_counted_on() -> None:
    policy, work = a_policy(), Steady(16, 0.7, 200, match=0.3)
    decode(policy, work, "ngram")
    assert policy.summary()["match_rate"] == pytest.approx(0.3, abs=0.08)
    assert policy.summary()["estimated_acceptance"] == pytest.approx(0.7, abs=0.08)


def test_drafts_asked_for_unseen_teach_the_match_rate_too() -> None:
    policy, rng = a_policy("suffix"), np.random.default_rng(0)
    for _ in range(200):
        lengths = policy.choose([(f"r{i}", 0, -1) for i in range(4)])
        found = {i: k if rng.random() < 0.4 else 0 for i, k in lengths.items()}
        policy.observe([(i, k, int(min(k, rng.geometric(0.1) - 1))) for i, k in found.items()], 0.05)
    assert policy.summary()["match_rate"] == pytest.approx(0.4, abs=0.12)


def test_matches_that_nobody_sees_are_asked_for_again() -> None:
    policy, rng, drafted = a_policy("suffix"), np.random.default_rng(0), []
    for step in range(900):
        lengths = policy.choose([(f"r{i}", 0, -1) for i in range(16)])
        found = {i: k if rng.random() < (0.02 if step < 400 else 0.95) else 0 for i, k in lengths.items()}
        policy.observe([(i, k, k) for i, k in found.items()], 0.065)
        drafted.append(sum(lengths.values()))
    assert np.mean(drafted[300:400]) < 4
    assert np.mean(drafted[800:]) > 64


@pytest.mark.parametrize("drafter", DRAFTERS)
def test_steps_for_which_nothing_was_chosen_are_steps_in_which_what_is_known_fades(drafter: Drafter) -> None:
    """Where choosing takes longer than it gains it is left out, a hundred steps at a time."""
    policy, work = a_policy(drafter), Steady(4, 0.05, 200)
    decode(policy, work, drafter)
    decodes = [(r.name, 0, 8) for r in work.all]
    policy.choose(decodes)
    before = policy.acceptance.mean
    assert before < 0.5
    for _ in range(100):
        policy.rested(4)
    policy.choose(decodes)
    assert policy.acceptance.mean > 0.7
    assert policy.step.draft_tokens + policy.next_length > 0
    assert policy.summary()["steps"] == 300


def test_prefill_beside_the_decodes_is_no_reason_to_draft_more() -> None:
    alone, beside = list[int](), list[int]()
    for seed in range(12):
        for prefill_tokens, chosen in (0, alone), (2000, beside):
            policy, work = a_policy(), Steady(32, 0.6, 200)
            decode(policy, work, "ngram", seed)
            chosen.append(sum(policy.choose([(r.name, 0, 8) for r in work.all], prefill_tokens).values()))
    known = policy.acceptance.estimates([r.name for r in work.all]).acceptance
    verify = policy.step_time.verify(Step(32, prefill_tokens=2000), 8 * 32)
    by_goodput_of_the_step = Gains(known, np.full(32, 8)).plan(verify).drafts
    assert all(two <= one + 16 for one, two in zip(alone, beside, strict=True))
    assert abs(np.mean(beside) - np.mean(alone)) < 8
    assert by_goodput_of_the_step > 100


def test_on_hardware_where_tokens_are_free_all_drafts_are_verified() -> None:
    flat = Profile([(1, 0, 0.02), (512, 0, 0.02), (1024, 0, 0.04)])
    policy = DraftPolicy(8, StepTime(flat), "ngram")
    assert set(policy.choose([(f"r{i}", 0, 8) for i in range(32)]).values()) == {8}


def test_steps_under_way_at_once_are_told_apart() -> None:
    policy = a_policy()
    policy.choose([("a", 0, 8)])
    first = policy.step
    policy.choose([("a", 0, 8), ("b", 0, 8)])
    assert (first.batch, policy.step.batch) == (1, 2)
    policy.observe([("a", first.draft_tokens, 0)], 0.03, first)
    assert policy.summary()["steps"] == 1


def test_a_step_of_prompts_alone_is_no_decode() -> None:
    policy = a_policy()
    assert policy.choose([], prefill_tokens=512) == {}
    assert isinstance(policy.step, PlannedStep)
    policy.observe([], 0.9)
    assert policy.summary()["steps"] == 0
    assert policy.acceptance.mean == pytest.approx(0.8)


def test_a_forgotten_request_leaves_nothing() -> None:
    policy = a_policy()
    for i in range(500):
        policy.choose([(f"r{i}", 0, 8)])
        policy.observe([(f"r{i}", 2, 1)], 0.03)
        policy.forget(f"r{i}")
    assert not policy.acceptance._row


def test_a_rest_before_the_first_choice_costs_nothing_of_what_is_lent_at_start() -> None:
    """Prompts alone are such steps; without the loan a large batch waits dozens of steps for its first draft."""
    lent, rested = DraftPolicy(8, StepTime(profile("model"))), DraftPolicy(8, StepTime(profile("model")))
    rested.rested(64)
    decodes = [(f"r{i}", 100, 1) for i in range(64)]
    for policy in (lent, rested):
        policy.choose(decodes)
    assert rested.next_length == lent.next_length
    assert rested.allowance.limit(1.0) == lent.allowance.limit(1.0)
