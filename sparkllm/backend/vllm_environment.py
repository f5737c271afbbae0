"""The environment that vLLM's processes start in; it must be ready before torch and vLLM read it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from sparkllm.backend.cores import usable_cores
from sparkllm.backend.engine import EngineSpec

__all__ = ["in_one_process", "prepare_environment"]

# Kernels that oneDNN keeps, one for each number of tokens in a step and shape of a layer: 1,024 by default, which let
# the demo model's engine grow by 770 MiB in two minutes, and by 320 in one with so many.
_CAPACITY, _CPU_KERNELS = "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256"


def prepare_environment(spec: EngineSpec, folder: Path) -> None:
    """Set what vLLM reads from the environment; the sockets between its processes lie in `folder`."""
    environment = {"VLLM_WORKER_MULTIPROC_METHOD": "spawn", "VLLM_NO_USAGE_STATS": "1"}
    # They carry whole prompts and, with the second setting, would take pickles: nobody else may reach them.
    environment["VLLM_RPC_BASE_PATH"] = _private_sockets(folder)
    environment["VLLM_ALLOW_INSECURE_SERIALIZATION"] = "0"
    # The older way to set the KV cache's size would win over ours.
    os.environ.pop("VLLM_CPU_KVCACHE_SPACE", None)
    if in_one_process(spec):
        # The model runs inside vLLM's engine process: 9 s less to start than with a worker process of its own, and 40 %
        # more answers a second for a small model. OpenMP's threads are then ours to set: one per core, none bound, none
        # spinning while Spark's Python needs the core.
        environment["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        environment["OMP_NUM_THREADS"] = str(usable_cores())
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
    if spec.devices == "cpu":
        environment[_CAPACITY] = os.environ.get(_CAPACITY, _CPU_KERNELS)
    os.environ.update(environment)


def in_one_process(spec: EngineSpec) -> bool:
    """Whether the model runs inside vLLM's engine process, without workers."""
    return spec.devices == "cpu" and json.loads(spec.engine_options).get("tensor_parallel_size", 1) == 1


def _private_sockets(folder: Path) -> str:
    sockets = folder / "ipc"
    shutil.rmtree(sockets, ignore_errors=True)  # those of an engine that was killed
    sockets.mkdir(mode=0o700)
    # A socket's path has room for 107 bytes. The server works in the engine's folder, and its processes do as well.
    return min(str(sockets), os.path.relpath(sockets), key=len)
