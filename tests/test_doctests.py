"""The examples in docstrings hold."""

import doctest
import importlib
import pkgutil

import pytest

import sparkllm
from sparkllm import optimizer, udf
from sparkllm.backend import control, endpoint

BACKEND = ("chat", "chat_template", "start_advice", "start_error", "thoughts")
MODULES = ["sparkllm.model_tokenizer", "sparkllm.report_budget", *(f"sparkllm.backend.{name}" for name in BACKEND)] + [
    info.name
    for package in (optimizer, udf, control, endpoint)
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [t for name in MODULES for t in finder.find(importlib.import_module(name)) if t.examples]
    assert len(examples) >= 9
    assert sparkllm.__doc__
