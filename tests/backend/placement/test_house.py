"""The package is pure: it imports neither Spark nor an engine, and its examples hold."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

from sparkllm.backend import placement

MODULES = [info.name for info in pkgutil.walk_packages(placement.__path__, placement.__name__ + ".")]


def test_importing_it_imports_neither_spark_nor_an_engine() -> None:
    heavy = "{'pyspark', 'torch', 'vllm', 'pandas', 'pyarrow', 'sparkllm.udf', 'sparkllm.optimizer'}"
    code = f"import sys, sparkllm.backend.placement; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    assert sum(bool(t.examples) for name in MODULES for t in finder.find(importlib.import_module(name))) >= 4


def test_public_names_are_documented() -> None:
    for name in placement.__all__:
        assert getattr(placement, name).__doc__
