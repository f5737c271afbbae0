"""Mixed queries for half an hour on one session and its real engine: does anything grow, and is anything left?

    python bench/soak.py --minutes 30 --json bench/results/soak.json

Three threads ask at a time: filters, classes, free text, typed answers, queries that are cancelled, and queries that
fail. Twice in the first half all pause until the engine has ended as idle, so that the next query starts another.
Memory of the driver's JVM, the largest Python worker, the server and vLLM's engine process and their open files are
looked at every few seconds; growth is the slope over the second half. In the end nothing of them may be left. A task
has four attempts, as on a cluster: Spark 4.3 may end everybody's Python workers when a task is cancelled that
waits for a new one (SPARK-54711), and a task of `local[n]` has one.
`python bench/show_soak.py FILE` prints the table.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from machine import machine
from pyspark import InheritableThread
from pyspark.sql import SparkSession
from show_soak import table
from watch import Watch, of_application, slope

import sparkllm
from sparkllm.backend.folder import root_for
from sparkllm.backend.sweep import engines

WATCHED = ("driver JVM", "Python worker", "server", "EngineCore")
THREADS, TEXTS = 3, 5000
IDLE_SECONDS = 15
KV_CACHE_GIB = 0.125  # it grows into this page by page, and that is to be over before the second half
PAUSES = (0.2, 0.4)  # share of the time
PATIENCE = 60.0

QUERIES = {
    "filter": "SELECT count(*) FROM {t} WHERE llm('classify', text) = 'positive'",
    "classes": "SELECT llm('classify', text) AS c, count(*) FROM {t} GROUP BY c",
    "text": "SELECT max(length(llm('Continue the text.', text))) FROM {t}",
    "typed": "SELECT llm('How is it?', text, schema => 'good BOOLEAN, points INT') AS a FROM {t}",
    "cancelled": "SELECT max(length(llm('Tell a long story.', text, id))) FROM {t}",
    "failing": "SELECT count(llm('classify', text, model => '/no/such/model')) FROM {t}",
}


def main() -> None:
    """Ask, watch, look what is left; write the JSON."""
    args = arguments()
    result: dict[str, Any] = {"command": f"python bench/soak.py --minutes {args.minutes:g} --seed {args.seed}"}
    result |= machine()

    def write() -> None:
        if args.json:
            Path(args.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")

    with tempfile.TemporaryDirectory(prefix="soak") as name:
        spark = session(Path(name))
        with Watch(args.every, Path(name)) as watch:
            soak = Soak(spark, args.minutes * 60, args.seed)
            soak.run()
        result |= {"minutes": args.minutes, "queries": dict(soak.done), "wrong": soak.wrong, "engines": soak.engines}
        result["growth_mib"] = {who: slope(watch.samples, who) for who in WATCHED}
        result["growth_files"] = {who: slope(watch.samples, who, "files") for who in WATCHED}
        result |= {"orphans": ["not looked for yet"], "samples": watch.samples}
        write()
        processes = of_application(psutil.Process(), Path(name))
        family = [p for who, some in processes.items() if who != "driver JVM" for p in some]
        sparkllm.stop(spark)
        spark.stop()
        result["orphans"] = orphans(family)
        write()
    print(table(result))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--every", type=float, default=5, help="seconds between two looks")
    parser.add_argument("--seed", type=int, default=0, help="of the queries")
    parser.add_argument("--json", help="write the figures to this file")
    return parser.parse_args()


def session(folder: Path) -> SparkSession:
    """Short answers and a ledger that is soon full, so that everything is made and thrown away often."""
    folder.chmod(0o700)
    conf = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "OFF",
            "spark.scheduler.mode": "FAIR", "spark.driver.memory": "1g"}  # fmt: skip
    return sparkllm.session(
        model="demo", master="local[4, 4]", runtime_dir=str(folder), kv_cache_gib=KV_CACHE_GIB, max_tokens=16,
        idle_seconds=IDLE_SECONDS, ledger=str(folder / "ledger"), ledger_max_bytes=200_000, **conf,
    )  # fmt: skip


class Soak:
    """Random queries until the time is over."""

    def __init__(self, spark: SparkSession, seconds: float, seed: int) -> None:
        self.done, self.wrong, self.engines = Counter[str](), list[str](), 0
        self._spark, self._random = spark, random.Random(seed)
        self._began, self._seconds = time.monotonic(), seconds
        self._go = threading.Event()
        self._busy, self._lock = 0, threading.Lock()
        self._launches = set[str]()

    def run(self) -> None:
        """Return when the last query has ended."""
        self._go.set()
        threads = [InheritableThread(target=self._ask, args=(i,), daemon=True) for i in range(THREADS)]
        for thread in threads:
            thread.start()
        for share in PAUSES:
            self._until(lambda share=share: self._passed > share)  # type: ignore[misc]
            self._let_the_engine_end()
        for thread in threads:
            thread.join()
        self._note_engines()
        self.engines = len(self._launches)

    @property
    def _passed(self) -> float:
        return (time.monotonic() - self._began) / self._seconds

    def _ask(self, number: int) -> None:
        while self._passed < 1:
            self._go.wait()
            with self._lock:
                self._busy += 1
                kind, rows = self._random.choice(list(QUERIES)), self._random.choice((20, 100, 400))
                first = self._random.randrange(TEXTS)
            try:
                self._one(kind, first, rows, f"{number} {sum(self.done.values())}")
            finally:
                with self._lock:
                    self._busy -= 1

    def _one(self, kind: str, first: int, rows: int, group: str) -> None:
        context = self._spark.sparkContext
        context.setJobGroup(group, kind, interruptOnCancel=True)
        source = "(SELECT string(id) AS id, concat('text ', id, ' is good, and so is all of it') AS text "
        source += f"FROM range({first}, {first + rows}))"
        timer = threading.Timer(self._random.uniform(0.2, 3), lambda: context.cancelJobGroup(group))
        if kind == "cancelled":
            timer.start()
        try:
            self._spark.sql(QUERIES[kind].format(t=source)).collect()
            failed = ""
        except Exception as error:
            failed = str(error)
        timer.cancel()
        with self._lock:
            self.done[f"{kind}, failed" if failed else kind] += 1
            if (failed and kind not in ("cancelled", "failing")) or (
                kind == "failing" and "EngineStartError" not in failed
            ):
                self.wrong.append(f"{kind}: {failed[:500]}")

    def _let_the_engine_end(self) -> None:
        self._note_engines()
        self._go.clear()
        self._until(lambda: self._busy == 0)
        self._until(lambda: not any(folder.state().running for folder in self._folders()))
        self._go.set()

    def _folders(self) -> list[Any]:
        return engines(root_for(str(self._spark.conf.get("spark.sparkllm.runtimeDir"))))

    def _note_engines(self) -> None:
        self._launches |= {folder.state().launch for folder in self._folders()}

    def _until(self, reached: Callable[[], bool]) -> None:
        until = time.monotonic() + self._seconds + PATIENCE
        while not reached():
            if time.monotonic() > until:
                raise TimeoutError(f"still waiting; {self._busy} queries under way")
            time.sleep(0.2)


def orphans(family: list[psutil.Process]) -> list[str]:
    """Processes that outlive the session by half a minute; not the JVM, which pyspark keeps until Python ends."""
    _, alive = psutil.wait_procs(family, timeout=30)
    return [" ".join(process.cmdline())[:200] for process in alive]


if __name__ == "__main__":
    main()
