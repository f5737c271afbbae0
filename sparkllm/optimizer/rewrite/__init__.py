"""Calls in the text of a statement -> plain Spark SQL, for places where no Catalyst extension can be loaded."""

from sparkllm.optimizer.rewrite.levels import FUNCTION
from sparkllm.optimizer.rewrite.rewrite import rewrite
from sparkllm.optimizer.rewrite.select import Platform

__all__ = ["FUNCTION", "Platform", "rewrite"]
