"""Statements of other platforms -> ours: their AI functions one dialect in a file, the rest of the statement by sqlglot."""

from sparkllm.optimizer.transpile.transpile import CannotTurn, Transpiled, transpile

__all__ = ["CannotTurn", "Transpiled", "transpile"]
