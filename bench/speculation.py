"""Speculative decoding by goodput against fixed draft lengths, on a real engine with a controlled acceptance.

    python bench/make_random_model.py TARGET --hidden 768 --layers 8
    python bench/make_random_model.py DRAFT --hidden 64 --layers 1
    python bench/speculation.py --model TARGET --draft DRAFT --parts grid --json bench/results/speculation_grid.json

grid     for each acceptance and batch: expected tokens a second of every fixed draft length, of a table by batch size
         tuned on another acceptance (what vLLM offers), of the goodput policy, and of the policy with the true
         acceptance; steady, after 200 steps
jumps    the acceptance of a running batch changes: goodput from 150 steps after it on, by the best fixed length there
drains   256 requests of very different lengths: the batch falls from 64 to 1; seconds of each choice

The choices take short turns, in a new order each time, so that what else the machine does meets all of them; with
`--more` those close to the best take further ones. On one core (`taskset -c 1`) of a CPU, time is the process's CPU
time by a yardstick (engine_clock.py); the wall's is kept beside it.
Every ratio is one of the same turn; medians with quartiles. It ends with an error where the policy was given up, and
with 1 where the grid's lengths do not vary. It needs no Spark. `show_speculation.py` prints a result again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from controlled_engine import ControlledEngine
from machine import machine
from show_speculation import FIXED, best_fixed, line, show, speed

ACCEPTANCES = (0.3, 0.6, 0.8, 0.9)
BATCHES = (1, 4, 16, 64)
TABLE_ACCEPTANCE = 0.7
SETTLE = BACK = 200  # steps until a policy is settled; after a jump, until it must be so again
CLOSE = 0.85  # of the best: what may be the best itself
FEWEST, MOST = 8, 50  # steps of a turn
JUMPS = ((0.9, 0.3), (0.3, 0.9))
REQUESTS, MOST_AT_A_TIME = 256, 64


def main() -> int:
    """Measure, print and write."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # vLLM's own lines would bury the figures
    args = arguments()
    with tempfile.TemporaryDirectory() as folder:
        engine = ControlledEngine(args.model, args.draft, MOST_AT_A_TIME, Path(folder), args.engine_options, args.seed)
        record: dict[str, Any] = {"command": command(args), **machine(), "load": os.getloadavg(), "seed": args.seed}
        record |= {
            "device": engine.device,
            "clock": engine.clock.name,
            "target": engine.shape,
            "table_acceptance": TABLE_ACCEPTANCE,
        }
        record["profile"] = {"target": engine.profile.target, "draft": engine.profile.draft}
        parts = {"grid": grid, "jumps": jumps, "drains": drains}
        for part in args.parts:
            record[part] = []
            for cell in parts[part](engine, args):
                record[part].append(cell)
                print(line(part, cell), file=sys.stderr, flush=True)
                if args.json:
                    args.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    show(record)
    return 0 if varied(record) else 1


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--model", type=Path, required=True, help="folder of the target")
    parser.add_argument("--draft", type=Path, required=True, help="folder of the draft model")
    parser.add_argument("--parts", nargs="+", default=["grid", "jumps", "drains"], choices=["grid", "jumps", "drains"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--more", type=int, default=0, help="further turns of what is close to the best")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--acceptances", type=float, nargs="+", default=list(ACCEPTANCES))
    parser.add_argument("--fixed", type=int, nargs="+", default=list(FIXED), help="fixed draft lengths, 0 among them")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn without drafts")
    parser.add_argument("--engine-options", default="{}", help="JSON of further vLLM arguments")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args()
    if 0 not in args.fixed:
        parser.error("--fixed: everything is compared with no drafts, so 0 must be among the lengths")
    return args


def command(args: argparse.Namespace) -> str:
    """The command line without folders."""
    cells = [f"--batches {' '.join(map(str, args.batches))}", f"--acceptances {' '.join(map(str, args.acceptances))}"]
    given = [
        f"--seed {args.seed}",
        *cells,
        f"--parts {' '.join(args.parts)}",
        f"--repeats {args.repeats}",
        *([f"--more {args.more}"] if args.more else []),
        *([f"--fixed {' '.join(map(str, args.fixed))}"] if args.fixed != list(FIXED) else []),
        f"--seconds {args.seconds:g}",
    ]
    options = f" --engine-options {shlex.quote(args.engine_options)}" if args.engine_options != "{}" else ""
    return f"python bench/speculation.py --model {args.model.name} --draft {args.draft.name} {' '.join(given)}{options}"


Choice = Callable[[], None]


def choices(engine: ControlledEngine, lengths: Sequence[int]) -> dict[str, Choice]:
    """What is compared; the policies begin anew."""
    goodput, known = engine.driver(), engine.driver(known=True)
    fixed = {f"k = {k}": lambda k=k: engine.fixed(k) for k in lengths if k <= engine.most}
    return {
        **fixed,
        "by batch": lambda: engine.by_batch(TABLE_ACCEPTANCE),
        "goodput": lambda: engine.drive(goodput),
        "known": lambda: engine.drive(known),
    }


def turns(engine: ControlledEngine, names: list[str], repeats: int, seed: int) -> Iterator[str]:
    """Each name once in each turn, in a new order; all meet the same luck."""
    order = random.Random(seed)
    for turn in range(repeats):
        order.shuffle(names)
        engine.luck(1 + seed + turn)
        yield from names


def rounds(engine: ControlledEngine, found: dict[str, list[dict[str, Any]]], args: argparse.Namespace) -> Iterator[str]:
    """The turns of everything, then the further ones of what is close to the best by what was `found`."""
    yield from turns(engine, list(found), args.repeats, args.seed)
    yield from turns(engine, contenders(found), args.more, args.seed + args.repeats)


def grid(engine: ControlledEngine, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Every cell: for each choice its turns."""
    for batch in args.batches:
        for acceptance in args.acceptances:
            engine.acceptance(lambda number, a=acceptance: a)
            offered = choices(engine, args.fixed)
            for name in ("goodput", "known"):
                steady(engine, offered[name], batch, SETTLE)
            steps = steps_of(engine, offered["k = 0"], batch, args.seconds)
            found: dict[str, list[dict[str, Any]]] = {name: [] for name in offered}
            for name in rounds(engine, found, args):
                found[name].append(steady(engine, offered[name], batch, steps))
            yield {"batch": batch, "acceptance": acceptance, "steps": steps, "turns": found}


def contenders(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What more turns may tell more of: the policy, no drafts, and every choice that may be the best one."""
    best = speed(found[best_fixed(found)])
    return [
        "goodput",
        "k = 0",
        *(n for n in found if n.startswith("k = ") and n != "k = 0" and speed(found[n]) > CLOSE * best),
    ]


def steps_of(engine: ControlledEngine, plain: Choice, batch: int, seconds: float) -> int:
    """How many steps without drafts take so many seconds; short turns, so that those of all choices lie close."""
    took = steady(engine, plain, batch, 10)
    return max(FEWEST, min(MOST, round(10 * seconds / took["seconds"])))


def steady(engine: ControlledEngine, choice: Choice, batch: int, steps: int) -> dict[str, Any]:
    """So many steps of one choice, all requests decoding."""
    parts = [engine.turn(choice, batch, min(MOST, steps - done)) for done in range(0, steps, MOST)]
    seconds, wall = sum(p.seconds for p in parts), sum(p.wall_seconds for p in parts)
    expected = sum(p.expected for p in parts)
    lengths: Counter[int] = sum((p.lengths for p in parts), Counter())
    mean = sum(k * n for k, n in lengths.items()) / max(1, lengths.total())
    speed = expected / seconds
    return {"seconds": seconds, "wall_seconds": wall, "tokens_per_second": speed, "mean_length": mean}


def jumps(engine: ControlledEngine, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What the policy reaches 150 steps after the acceptance changed, beside every fixed length."""
    for batch in (b for b in args.batches if b > 1):
        for before, after in JUMPS:
            found: dict[str, list[dict[str, Any]]] = {}
            for repeat in range(args.repeats):
                offered = choices(engine, args.fixed)
                del offered["known"], offered["by batch"]
                found = found or {name: [] for name in offered}
                engine.acceptance(lambda number, a=before: a)
                steady(engine, offered["goodput"], batch, SETTLE)
                engine.acceptance(lambda number, a=after: a)
                steady(engine, offered["goodput"], batch, BACK - MOST)
                steps = steps_of(engine, offered["k = 0"], batch, args.seconds)
                for name in turns(engine, list(offered), 1, args.seed + repeat):
                    found[name].append(steady(engine, offered[name], batch, steps))
            yield {"batch": batch, "before": before, "after": after, "turns": found}


def drains(engine: ControlledEngine, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A whole job, its end included, where ever fewer requests are left."""
    rng = np.random.default_rng(args.seed)
    lengths = np.minimum(8 + rng.exponential(40, REQUESTS), 400).astype(int)
    lengths[rng.choice(REQUESTS, 8, replace=False)] = rng.integers(400, 800, 8)  # a few long answers, as real jobs have
    for acceptance in args.acceptances:
        engine.acceptance(lambda number, a=acceptance: a)
        goodput: dict[str, Choice] = choices(engine, args.fixed)
        del goodput["known"]
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in goodput}
        for name in rounds(engine, found, args):
            goodput[name]()
            engine.start(lengths.tolist())
            took, batches = engine.drain()
            reached = int(lengths.sum()) / took.seconds
            found[name].append(vars(took) | {"tokens_per_second": reached, "steps": len(batches)})
        yield {"acceptance": acceptance, "requests": REQUESTS, "tokens": int(lengths.sum()), "turns": found}


def varied(record: dict[str, Any]) -> bool:
    """The policy's lengths differ from cell to cell of the grid."""
    turns_of = [turn["mean_length"] for cell in record.get("grid", ()) for turn in cell["turns"]["goodput"]]
    return not turns_of or max(turns_of) - min(turns_of) > 1


if __name__ == "__main__":
    sys.exit(main())
