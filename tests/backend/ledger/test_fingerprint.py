"""The model's fingerprint: another one where an answer may be another, the same where only the place or speed is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sparkllm.backend.engine import EngineSpec
from sparkllm.backend.ledger.fingerprint import answers_fingerprint
from sparkllm.config import LLMConfig

SPEC = EngineSpec.of(LLMConfig(), "demo", "app")


def of(spec: EngineSpec = SPEC, revision: str = "", tokenizer: str = "{}", frame: str = "<>", length: int = 99) -> str:
    return answers_fingerprint(spec, revision, tokenizer, frame, length)


def with_options(**options: object) -> EngineSpec:
    return replace(SPEC, engine_options=json.dumps(options))


OTHER_ANSWERS = [
    of(revision="abc"),
    of(tokenizer='{"a": 1}'),
    of(frame="<|>"),
    of(length=50),
    of(replace(SPEC, dtype="float16")),
    of(with_options(quantization="fp8")),
    of(replace(SPEC, model="org/model")),
]


def test_what_may_change_an_answer_changes_the_fingerprint() -> None:
    assert len({of(), *OTHER_ANSWERS}) == 1 + len(OTHER_ANSWERS)


SAME_ANSWERS = [
    replace(SPEC, application="another"),
    replace(SPEC, devices="0,1"),
    replace(SPEC, max_num_seqs=7, kv_cache_gib=3.0, block_size=64),
    replace(SPEC, speculation="ngram"),
    with_options(tensor_parallel_size=2, gpu_memory_utilization=0.5),
]


@pytest.mark.parametrize("spec", SAME_ANSWERS)
def test_where_and_how_fast_it_runs_does_not(spec: EngineSpec) -> None:
    assert of(spec) == of()


def test_a_file_of_the_model_that_changes_changes_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_text("weights")
    before = of(replace(SPEC, model=str(tmp_path)))
    (tmp_path / "model.safetensors").write_text("other weights")
    assert of(replace(SPEC, model=str(tmp_path))) != before
