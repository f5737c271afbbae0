"""The ordering engine against the real vLLM: cached tokens counted and predicted, and the time to answer all rows.

    python bench/engine_cache.py --data FOLDER --tables beer.csv movies_small.csv --rows 4000 --json FILE

No Spark: the prompts of a table in every order (see engine_orders.py) are handed to an engine of this process, all at
once as the product does it, one token of answer each; with a large KV cache and with a deliberately small one, which
holds twice what runs at a time, and at most a tenth of what the prompts of the first order take together. Before each
run the prefix cache is emptied. The orders take turns, and each repeat begins with another one. Fixed and stated:
--concurrency (vLLM's max_num_seqs) and --batched-tokens (max_num_batched_tokens).

vLLM takes the requests of a step one after the other, and each finds the blocks of those before it: a large cache
serves what `blocks` says. All that end in a step free their blocks together, where in `lru_blocks` the oldest ends as
the next begins and a few more blocks are in use: a small cache may serve some tenths of a point more than it says.

On a GPU, with a model of random weights that are made there:

    python bench/make_random_model.py OUT --shape 1b --config-only
    python bench/engine_cache.py --data FOLDER --model OUT --dummy-weights --concurrency 256 --batched-tokens 8192

Ends with 1 where engine and prediction differ by more than 2 points (large cache) or 4 (small), in any run.
`python bench/show_engine_cache.py FILE` prints the table again.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from engine_orders import ORDERS, Sent, blocks_of_all, expected, prompts_of, table_of
from machine import machine
from show_engine_cache import beyond_limits, table

from sparkllm.backend.engine import EngineSpec, Sampling
from sparkllm.backend.vllm_engine import VLLMEngine
from sparkllm.config import LLMConfig
from sparkllm.optimizer.prefix import Served
from sparkllm.udf.tokens import ChatTokenizer

LIMITS = {"large": 2.0, "small": 4.0}
ONE_TOKEN = Sampling(max_tokens=1, min_tokens=1)
_WARM_UP = 64  # prompts
_SETTLE_SECONDS = 0.2  # an engine that schedules ahead frees the last blocks a step after the last answer
_names = itertools.count()


def main() -> int:
    """Measure, print and write; 1 where a difference exceeds its limit."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # vLLM's own lines would bury the figures
    args = arguments()
    record = {"command": command(args), **machine(), "model": Path(args.model).name, "load": os.getloadavg()}
    record |= {"concurrency": args.concurrency, "batched_tokens": args.batched_tokens, "limits": LIMITS}
    record |= {"tables": [], "runs": []}
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(args, record, Path(folder)))
    print(table(record))
    return 1 if beyond_limits(record) else 0


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--data", default=os.environ.get("SPARKLLM_DATA", "."), help="folder of the tables")
    parser.add_argument("--tables", nargs="+", help="names of CSV files there; default: all")
    parser.add_argument("--rows", type=int, default=4000, help="the first rows of each table; 0: all")
    parser.add_argument("--shuffle", type=int, help="shuffle the rows by this seed before the first are taken")
    parser.add_argument("--orders", nargs="+", default=list(ORDERS), choices=ORDERS)
    parser.add_argument("--budget", type=float, default=5.0, help="seconds for order best")
    parser.add_argument("--caches", nargs="+", default=list(LIMITS), choices=list(LIMITS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--model", default="demo", help="demo, or the folder of a model")
    parser.add_argument("--dummy-weights", action="store_true", help="vLLM makes the weights: the folder has none")
    parser.add_argument("--concurrency", type=int, default=8, help="requests that run at a time")
    parser.add_argument("--batched-tokens", type=int, default=2048, help="most tokens of one engine step")
    parser.add_argument("--kv-gib", type=float, default=0.0, help="the large cache; 0: 1 GiB on a CPU, a GPU's rest")
    parser.add_argument("--small-blocks", type=int, default=0, help="of the small cache; 0: see above")
    parser.add_argument("--engine-options", default="{}", help="JSON of further vLLM arguments")
    parser.add_argument("--json", help="write the result to this file")
    return parser.parse_args(words)


def command(args: argparse.Namespace) -> str:
    """How to make the figures again; folders of this machine are left out."""
    words, usual = ["python", "bench/engine_cache.py", "--data", "FOLDER"], vars(arguments([]))
    for name, value in vars(args).items():
        if name in ("data", "json") or value == usual[name]:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if name == "model":
            words.append(Path(value).name)
        elif value is not True:
            words += map(str, value if isinstance(value, list) else [value])
    return shlex.join(words)


async def measure(args: argparse.Namespace, record: dict[str, Any], folder: Path) -> None:
    """One engine with a large cache for all tables, then one with a small cache for each."""
    engine = VLLMEngine(spec(args), folder)
    info = engine.info
    record |= {"device": info.device, "vllm": info.vllm_version, "block_size": info.block_size}
    paths = [Path(args.data, name) for name in args.tables or ()] or sorted(Path(args.data).glob("*.csv"))
    sents = {path.name: sent_orders(path, args, engine, record) for path in paths}
    for name in sents:
        if "large" in args.caches:
            await measure_table(engine, args, record, name, sents[name], "large")
    engine.close()
    for name in sents:
        if "small" in args.caches:
            small = small_cache(args, list(sents[name].values()), info.block_size)
            engine = VLLMEngine(spec(args, *small), folder)
            await measure_table(engine, args, record, name, sents[name], "small")
            engine.close()


def small_cache(args: argparse.Namespace, sents: list[Sent], block_size: int) -> tuple[int, int]:
    """(blocks of the cache, tokens of the longest prompt with its answer)."""
    longest = max(int(sent.prompts.lengths.max()) for sent in sents) + ONE_TOKEN.max_tokens
    most = -(-longest // block_size)
    usual = min(2 * args.concurrency * most, blocks_of_all(sents[0].prompts, block_size) // 10)
    return max(args.small_blocks or usual, most), longest


def spec(args: argparse.Namespace, blocks: int = 0, max_model_len: int = 0) -> EngineSpec:
    """The engine as a Spark job would ask for it; `blocks`: usable blocks of its KV cache."""
    options = {"max_num_batched_tokens": args.batched_tokens, **json.loads(args.engine_options)}
    if args.dummy_weights:
        options["load_format"] = "dummy"
    if blocks:
        options["num_gpu_blocks_override"] = blocks + 1  # one is never used
    config = LLMConfig(
        model=args.model,
        max_model_len=max_model_len,
        max_num_seqs=args.concurrency,
        kv_cache_gib=args.kv_gib,
        engine_options=json.dumps(options),
    )
    return EngineSpec.of(config, None, "bench")


def sent_orders(path: Path, args: argparse.Namespace, engine: VLLMEngine, record: dict[str, Any]) -> dict[str, Sent]:
    """The prompts of a table in every order."""
    info, rows = engine.info, table_of(path, args.rows, args.shuffle)
    tokenizer = ChatTokenizer.shared(info.tokenizer_json, info.chat_prefix, info.chat_suffix)
    most = info.max_model_len - ONE_TOKEN.max_tokens
    sents = {
        mode: prompts_of(rows, path.name, mode, args.budget, tokenizer, info.block_size, most) for mode in args.orders
    }
    sizes = {"rows": rows.num_rows, "columns": rows.num_columns}
    record["tables"].append({"table": path.name, **sizes})
    return sents


async def measure_table(
    engine: VLLMEngine, args: argparse.Namespace, record: dict[str, Any], name: str, sents: dict[str, Sent], cache: str
) -> None:
    """All orders in turns; what comes of it is written after every repeat."""
    size = engine.info.block_size
    capacity = engine.info.cache_tokens // size - 1
    runs = {
        mode: {"table": name, "cache": cache, "order": mode, **foreseen(sent, size, capacity, args.concurrency)}
        for mode, sent in sents.items()
    }
    record["runs"] += runs.values()
    await answered(engine, sents[args.orders[0]], most=_WARM_UP)
    for repeat in range(args.repeats):
        first = repeat % len(sents)
        for mode in [*sents, *sents][first : first + len(sents)]:
            seconds, served = await answered(engine, sents[mode])
            runs[mode]["seconds"].append(seconds)
            runs[mode]["engine"].append(rates(served))
            print(f"{name}, {cache}, {mode}: {seconds:.2f} s, {served.rate:.2%}", file=sys.stderr, flush=True)
        if args.json:
            Path(args.json).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def foreseen(sent: Sent, block_size: int, capacity: int, concurrency: int) -> dict[str, Any]:
    """What is known of a run before it; `seconds` and `engine` get one entry for each repeat."""
    evaluator, served = expected(sent, block_size, capacity, concurrency)
    sizes = {"prompts": len(sent.prompts), "tokens": int(served.total.sum()), "static": int(served.static.sum())}
    plan = {"method": sent.method, "order_seconds": sent.order_seconds, "prompt_seconds": sent.prompt_seconds}
    predicted = {"blocks": capacity, "evaluator": evaluator, "predicted": rates(served)}
    return {**sizes, **plan, **predicted, "engine": [], "seconds": []}


def rates(served: Served) -> dict[str, float]:
    """Per cent of the tokens that come from the cache: of whole prompts, and of the data in them."""
    return {"all": 100 * served.rate, "data": 100 * served.data_rate}


async def answered(engine: VLLMEngine, sent: Sent, most: int = sys.maxsize) -> tuple[float, Served]:
    """Seconds until the last answer, and what the engine found in its cache, which is empty at the start."""
    prompts = [sent.prompts[i].tolist() for i in range(min(most, len(sent.prompts)))]
    await asyncio.sleep(_SETTLE_SECONDS)
    await engine.reset_prefix_cache()
    began = time.perf_counter()
    answers = await asyncio.gather(*(engine.answer(str(next(_names)), ids, ONE_TOKEN) for ids in prompts))
    seconds = time.perf_counter() - began
    wrong = next((answer.error for answer in answers if answer.error), None)
    if wrong or answers[0].cached_tokens:
        raise RuntimeError(wrong or "expected an empty prefix cache, found the first prompt's blocks in it")
    cached = np.array([answer.cached_tokens for answer in answers])
    return seconds, Served.of(cached, sent.prompts.lengths[: len(answers)], sent.static[: len(answers)])


if __name__ == "__main__":
    sys.exit(main())
