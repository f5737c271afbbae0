"""What other draft lengths would have taken: every fixed one, a table by batch size, the policy, the oracle.

    python -m sparkllm.spec.replay TRACE

The trace's batches, contexts and acceptance are kept, its steps' times are predicted from its profile; who yields more
tokens a step gets through it in fewer steps. `replay` does the same for any workload.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from sparkllm.spec.allowance import Allowance
from sparkllm.spec.choosers import ByBatch, Fixed, Known
from sparkllm.spec.correction import Correction
from sparkllm.spec.policy import Drafter, DraftPolicy
from sparkllm.spec.profile import Profile
from sparkllm.spec.recorded import Recorded
from sparkllm.spec.step_time import StepTime
from sparkllm.spec.trace import read_trace
from sparkllm.spec.workload import Chooser, Outcome, Workload, run

__all__ = ["main", "replay", "table"]


def replay(
    work: Callable[[], Workload],
    profile: Profile,
    truth: Profile,
    drafter: Drafter,
    most: int,
    seed: int = 0,
    noise: float = 0.0,
    table_acceptance: float = 0.7,
) -> dict[str, Outcome]:
    """Run the same work under every choice of draft lengths; names are those of the printed table.

    Args:
        work: makes the workload anew.
        profile: what the policy and the table by batch size are told about step times.
        truth: what steps take, times exp(normal(0, `noise`)).
        table_acceptance: the acceptance that the table by batch size was made for.
    """

    def choosers(job: Workload) -> dict[str, Chooser]:
        known, unlimited = Known(job.requests), Allowance(first_steps=np.inf, most_steps=np.inf)
        true_time = StepTime(truth, Correction(5, lowest=1.0, highest=1.0))
        return {
            **{f"fixed {k}": Fixed(k) for k in sorted({0, most, *(2**i for i in range(most.bit_length()))})},
            "by batch": ByBatch(most, StepTime(profile), table_acceptance),
            "policy": DraftPolicy(most, StepTime(profile), drafter),
            "oracle": DraftPolicy(most, true_time, drafter, known, unlimited),
        }

    outcomes = {}
    for name in choosers(work()):
        job = work()
        outcomes[name] = run(job, choosers(job)[name], StepTime(truth), drafter, seed, noise)
    return outcomes


def table(outcomes: Mapping[str, Outcome]) -> str:
    """A row for each choice; gain: goodput against draft length 0."""
    plain = outcomes["fixed 0"].goodput
    lines = [f"{'draft length':<14}{'mean':>6}{'steps':>8}{'seconds':>10}{'tokens/s':>10}{'gain':>7}"]
    for name, o in outcomes.items():
        gain = o.goodput / plain
        lines.append(f"{name:<14}{o.mean_length:>6.2f}{o.steps:>8}{o.seconds:>10.2f}{o.goodput:>10.1f}{gain:>7.3f}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of a trace."""
    parser = argparse.ArgumentParser(prog="python -m sparkllm.spec.replay", description="Other draft lengths.")
    parser.add_argument("trace", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--noise", type=float, default=0.05, help="spread of the step times, 0.05 is 5 %%")
    parser.add_argument("--table-acceptance", type=float, default=0.7, help="what the table by batch size is made for")
    options = parser.parse_args(arguments)
    header, lines = read_trace(options.trace)
    outcomes = replay(
        lambda: Recorded(lines),
        header.profile,
        header.profile,
        header.drafter,
        header.most,
        options.seed,
        options.noise,
        options.table_acceptance,
    )
    print(table(outcomes))


if __name__ == "__main__":
    main()
