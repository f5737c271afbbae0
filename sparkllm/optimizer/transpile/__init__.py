"""Statements of other platforms -> ours: the AI functions of one dialect in a file, the rest by sqlglot."""

from sparkllm.optimizer.transpile.transpile import Remark, Transpiled, transpile

__all__ = ["Remark", "Transpiled", "transpile"]
