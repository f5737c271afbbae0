"""The kill matrix: five components, each killed at the start, in the middle and at the end of a query.

    python bench/faults.py --json bench/results/faults.json

Spark is a local cluster of two executors; the engine is vLLM with the demo model; each cell has a ledger of its own.
Rows are compared with those of an undisturbed run. Paid twice: requests that all lives of the engine have begun, less
the distinct prompts; those whose answer the ledger had when the process was killed are counted on their own. Seconds
lost: those of the query above the undisturbed one; of a killed driver: those until none of its processes is left, and
those of the second run, which finds in the ledger what the first has paid for.
`python bench/show_faults.py FILE` prints the table.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
from engine_lives import EngineLives
from machine import machine
from pyspark.sql import SparkSession
from show_faults import table
from spark_home import own_spark_home
from watch import of_application, role

import sparkllm
from sparkllm.backend.client import stop
from sparkllm.backend.ledger.store import path_in

COMPONENTS = ("Python worker", "executor JVM", "server", "EngineCore", "driver")
MOMENTS = {"start": 0.02, "middle": 0.5, "end": 0.9}  # share of the answers that were given
CALL = "llm('Continue the text.', concat('the number ', id, ' and what comes next'))"
PATIENCE = 300.0


def main() -> None:
    """All cells; the JSON is written after each."""
    args = arguments()
    if args.driver:
        drive(Path(args.driver), args.rows)
        return
    result: dict[str, Any] = {"command": command(args), **machine(), "rows": args.rows}
    with tempfile.TemporaryDirectory(prefix="kill") as name:
        folder = Path(name)
        own_spark_home(folder / "spark")
        spark = session(folder / "engines")
        ask(spark, folder / "warm", args.rows)
        began = time.perf_counter()
        expected = ask(spark, folder / "undisturbed", args.rows)
        result["undisturbed_seconds"], result["cells"] = time.perf_counter() - began, []
        for component in args.components:
            for moment in args.moments:
                if component == "driver":
                    cell = kill_driver(folder / f"driver-{moment}", args.rows, MOMENTS[moment], expected)
                else:
                    cell = kill(spark, folder, component, moment, args.rows, expected)
                    cell["seconds_lost"] = cell["seconds"] - result["undisturbed_seconds"]
                result["cells"].append({"component": component, "moment": moment, **cell})
                print(json.dumps(result["cells"][-1]), flush=True)
                if args.json:
                    Path(args.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        spark.stop()
        stop(config=sparkllm.LLMConfig(runtime_dir=str(folder / "engines")))
    print(table(result))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rows", type=int, default=3000, help="rows, each a prompt of its own")
    parser.add_argument("--components", nargs="+", default=list(COMPONENTS), choices=COMPONENTS)
    parser.add_argument("--moments", nargs="+", default=list(MOMENTS), choices=list(MOMENTS))
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--driver", help=argparse.SUPPRESS)  # run the query in this folder, to be killed
    return parser.parse_args()


def command(args: argparse.Namespace) -> str:
    """How to make the figures again."""
    some = "".join(
        f" --{name} {shlex.join(asked)}"
        for name, asked, known in (("components", args.components, COMPONENTS), ("moments", args.moments, MOMENTS))
        if asked != list(known)
    )
    return f"python bench/faults.py --rows {args.rows}{some}"


def session(engines: Path) -> SparkSession:
    """Two executors of one core each."""
    engines.mkdir(mode=0o700, parents=True, exist_ok=True)
    conf = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "OFF",
            "spark.driver.memory": "1g", "spark.sparkllm.optimizer.coLocate": "false"}  # fmt: skip
    return sparkllm.session(
        model="demo", master="local-cluster[2,1,1024]", runtime_dir=str(engines), kv_cache_gib=1, max_tokens=8, **conf
    )


def ask(spark: SparkSession, ledger: Path, rows: int) -> dict[int, str]:
    """The answers by row, with a ledger of this folder."""
    spark.conf.set("spark.sparkllm.ledger", str(ledger))
    found = spark.sql(f"SELECT id, {CALL} AS answer FROM range(0, {rows}, 1, 2)").collect()
    assert len(found) == rows, len(found)
    return {row.id: row.answer for row in found}


def kill(
    spark: SparkSession, folder: Path, component: str, moment: str, rows: int, expected: dict[int, str]
) -> dict[str, Any]:
    """Kill one process of this application while it asks."""
    at: list[int] = []
    kept: dict[bytes, int] = {}
    ledger = folder / f"{component}-{moment}".replace(" ", "-")

    def strike(lives: EngineLives) -> None:
        lives.reach(int(rows * MOMENTS[moment]), PATIENCE)
        at.append(lives.total("finished"))
        os.kill(victim(component, folder / "engines"), signal.SIGKILL)
        kept.update(acknowledged(ledger))

    began = time.perf_counter()
    with EngineLives(folder / "engines") as lives:
        thread = threading.Thread(target=strike, args=(lives,))
        thread.start()
        found = ask(spark, ledger, rows)
        thread.join()
        seconds = time.perf_counter() - began
    wrong = sum(found[row] != answer for row, answer in expected.items())
    twice = lives.total("requests") - rows
    return {"killed_after_answers": at[0], "wrong_rows": wrong, "paid_twice": twice, **again(kept, ledger),
            "seconds": seconds, "engine": lives.record()}  # fmt: skip


def acknowledged(ledger: Path) -> dict[bytes, int]:
    """What the ledger has: the row of each key, which is another one where an answer is written again."""
    if not (path := path_in(ledger)).exists():
        return {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
        return dict(database.execute("SELECT key, rowid FROM answers"))


def again(kept: dict[bytes, int], ledger: Path) -> dict[str, int]:
    """Of the answers that the ledger had when the process was killed, those that were paid for once more."""
    now = acknowledged(ledger)
    return {"acknowledged": len(kept), "acknowledged_paid_again": sum(now.get(key) != row for key, row in kept.items())}


def victim(component: str, engines: Path) -> int:
    """The busiest process of that kind."""
    processes = of_application(psutil.Process(), engines)[component]
    if component == "Python worker":  # not the daemon that forks them
        processes = [p for p in processes if "java" not in p.parent().name()] or processes
    return int(max(processes, key=lambda p: sum(p.cpu_times()[:2])).pid)


def kill_driver(folder: Path, rows: int, share: float, expected: dict[int, str]) -> dict[str, Any]:
    """A driver of its own process: killed with its JVM; a second one goes on where it was."""
    folder.mkdir()
    first, at = run_driver(folder, rows, int(rows * share))
    kept = acknowledged(folder / "ledger")
    began = time.perf_counter()
    second, _ = run_driver(folder, rows, None)
    answers = {int(row): text for row, text in json.loads((folder / "answers.json").read_text()).items()}
    return {
        "killed_after_answers": at,
        "wrong_rows": sum(answers[row] != answer for row, answer in expected.items()),
        "paid_twice": first["requests"] + second["requests"] - rows,
        **again(kept, folder / "ledger"),
        "seconds_until_all_gone": first["gone"],
        "orphans": first["orphans"],
        "seconds": time.perf_counter() - began,
        "engine": second,
    }


def run_driver(folder: Path, rows: int, kill_at: int | None) -> tuple[dict[str, Any], int]:
    """(what its engine counted, answers when it was killed); it runs to its end where it is not to be killed."""
    (folder / "engines").mkdir(mode=0o700, exist_ok=True)
    command = [sys.executable, __file__, "--driver", str(folder), "--rows", str(rows)]
    with EngineLives(folder / "engines") as lives:
        driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        at = 0
        if kill_at is None:
            assert driver.wait() == 0
            family, gone = [], 0.0
        else:
            lives.reach(kill_at, PATIENCE)
            at, root = lives.total("finished"), psutil.Process(driver.pid)
            family = [p for some in of_application(root, folder / "engines").values() for p in some]
            began = time.perf_counter()
            for process in (root, *(p for p in family if role(p) == "driver JVM")):
                process.kill()
            driver.wait()
            _, family = psutil.wait_procs(family, timeout=60)
            gone = time.perf_counter() - began
    return {**lives.record(), "gone": gone, "orphans": len(family)}, at


def drive(folder: Path, rows: int) -> None:
    """What a driver to be killed does."""
    spark = session(folder / "engines")
    answers = ask(spark, folder / "ledger", rows)
    (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")
    spark.stop()
    stop(config=sparkllm.LLMConfig(runtime_dir=str(folder / "engines")))


if __name__ == "__main__":
    main()
