"""Calls in the text of a statement -> plain Spark SQL, for places where no Catalyst extension can be loaded."""

from sparkllm.optimizer.rewrite.levels import FUNCTION
from sparkllm.optimizer.rewrite.questions import Platform
from sparkllm.optimizer.rewrite.rewrite import rewrite

__all__ = ["FUNCTION", "Platform", "rewrite"]
