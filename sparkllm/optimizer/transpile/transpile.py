"""transpile(): a statement of Databricks, Snowflake or BigQuery as Spark SQL with `llm_*` functions."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType

from sqlglot import exp
from sqlglot.errors import ErrorLevel

from sparkllm.errors import CallError, TranspileError
from sparkllm.optimizer.spark_dialect import SparkSQL
from sparkllm.optimizer.transpile import bigquery, databricks, snowflake
from sparkllm.optimizer.transpile.checked import check, check_place
from sparkllm.optimizer.transpile.foreign import ForeignCall, Turn
from sparkllm.optimizer.transpile.paths import chosen
from sparkllm.optimizer.transpile.reading import parsed

__all__ = ["Remark", "Transpiled", "transpile"]

_DIALECTS: dict[str, ModuleType] = {"databricks": databricks, "snowflake": snowflake, "bigquery": bigquery}
_FAMILIES = {
    "databricks": ("ai_",),
    "snowflake": ("ai_", "snowflake.cortex."),
    "bigquery": ("ai.", "ml.generate_"),
}
_QUALIFY = "QUALIFY needs Spark 4.3 or later, or Databricks"


@dataclass(frozen=True)
class Remark:
    """`text`: the piece of the statement; `line`: where it stands, from 1, or 0 where that is not known."""

    text: str
    reason: str
    line: int = 0

    def __str__(self) -> str:
        return f"{f'line {self.line}: ' if self.line else ''}{self.text}: {self.reason}"


class Transpiled(str):
    """Spark SQL, ready for `spark.sql`.

    Attributes:
        unsupported: what could not be turned; it stands in the text as it was.
        notes: what was left out or means a little less: names of models, connections, sampling.
    """

    unsupported: tuple[Remark, ...] = ()
    notes: tuple[Remark, ...] = ()

    @property
    def sql(self) -> str:
        """The text."""
        return str(self)


def transpile(sql: str, read: str, *, models: Mapping[str, str] | None = None, strict: bool = False) -> Transpiled:
    """Turn another platform's AI functions into `llm_*`, and the rest of the statement into Spark SQL.

    >>> print(transpile("SELECT AI_FILTER(PROMPT('Is {0} about the price?', review)) FROM reviews", read="snowflake"))
    SELECT llm_filter('Is ' || review || ' about the price?') FROM reviews
    >>> transpile("SELECT ai_forecast(a) FROM t", read="databricks").unsupported[0].reason
    'forecasts are no calls of a language model'

    Args:
        sql: one or more statements.
        read: `databricks`, `snowflake` or `bigquery`.
        models: which model stands for a platform's, by name: `{"claude-4-sonnet": "Qwen/Qwen2.5-7B-Instruct"}`; a call
            of a model that is not in it is answered by the session's.
        strict: raise where something could not be turned.

    Raises:
        TranspileError: `strict`, and something could not be turned; the message lists all of it.
        CallError: an unknown dialect, or a text that is no statement of it.
    """
    if read not in _DIALECTS:
        near = difflib.get_close_matches(read, _DIALECTS, n=1)
        raise CallError(
            f"read is one of {', '.join(_DIALECTS)}, got {read!r}{f'; did you mean {near[0]!r}?' * len(near)}"
        )
    work = _Work(read, dict(models or {}))
    out = Transpiled(";\n".join(work.statement(tree) for tree in parsed(sql, read)))
    out.unsupported, out.notes = tuple(work.unsupported), tuple(work.notes)
    if strict and out.unsupported:
        raise TranspileError("cannot turn:\n" + "\n".join(map(str, out.unsupported)))
    return out


class _Work:
    """The statements of one text."""

    def __init__(self, read: str, models: dict[str, str]) -> None:
        self._read, self._models = read, models
        self.unsupported: list[Remark] = []
        self.notes: list[Remark] = []

    def statement(self, tree: exp.Expr) -> str:
        known, noted = len(self.unsupported), len(self.notes)
        qualified = [Remark(q.sql(self._read).strip(), _QUALIFY) for q in tree.find_all(exp.Qualify)]
        for call in reversed(list(_calls(tree, self._read))):  # inner ones first
            self._turn(call)
        self.unsupported[known:] = reversed(self.unsupported[known:])
        self.notes[noted:] = reversed(self.notes[noted:])
        self.notes += qualified
        generator = SparkSQL().generator(unsupported_level=ErrorLevel.IGNORE, normalize_functions=False, comments=True)
        text = generator.generate(tree)
        self.unsupported += [Remark("", message) for message in generator.unsupported_messages]
        return text

    def _turn(self, call: ForeignCall) -> None:
        turn, rules = Turn(self._models), _DIALECTS[self._read]
        try:
            if call.name not in rules.FUNCTIONS:
                raise TranspileError(rules.OTHERS.get(call.name, "is not known"))
            now = _again(call)
            check_place(now.node, now.positional)
            place, answer = chosen(now.node, rules.FUNCTIONS[call.name](now, turn))
            check(answer)
            place.replace(answer)
        except TranspileError as reason:
            _leave(call)
            self.unsupported.append(Remark(call.text, str(reason), call.line))
        except (KeyError, IndexError, AttributeError, TypeError, ValueError):  # no such argument, or of another form
            _leave(call)
            strange = "is not written as the platform's documentation has it"
            self.unsupported.append(Remark(call.text, strange, call.line))
        else:
            self.notes += [Remark(call.text, note, call.line) for note in turn.notes]


def _calls(tree: exp.Expr, read: str) -> Iterator[ForeignCall]:
    for node in tree.walk():
        name, whole, function = _named(node)
        if name.startswith(_FAMILIES[read]) or name in _DIALECTS[read].OTHERS:
            line = int(function.meta.get("line", 0))
            yield ForeignCall(name, whole, *_arguments(function), whole.sql(read), line)


def _leave(call: ForeignCall) -> None:
    """As it was written, under the platform's name."""
    function = call.node.expression if isinstance(call.node, exp.Dot) else call.node
    if isinstance(call.node, exp.Dot) and isinstance(function, exp.Func):
        given = function.expressions if isinstance(function, exp.Anonymous) else _typed_arguments(function)
        name = call.name.rpartition(".")[2].upper()
        function.replace(exp.Anonymous(this=name, expressions=[e.copy() for e in given]))


def _again(call: ForeignCall) -> ForeignCall:
    """With arguments as they are by now: inner calls have been turned."""
    function = call.node.expression if isinstance(call.node, exp.Dot) else call.node
    return ForeignCall(call.name, call.node, *_arguments(function), call.text, call.line)


def _named(node: exp.Expr) -> tuple[str, exp.Expr, exp.Expr]:
    """(name with its schema in lower case, what stands for the call, the function); no name where it is none."""
    if not isinstance(node, exp.Func) or isinstance(node, exp.Cast | exp.Connector):
        return "", node, node
    own = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
    whole: exp.Expr = node
    parent, path = node.parent, ""
    if isinstance(parent, exp.Dot) and parent.expression is node:
        names = parent.this.flatten() if isinstance(parent.this, exp.Dot) else [parent.this]
        whole, path = parent, ".".join(part.name for part in names) + "."
    elif isinstance(parent, exp.Table) and parent.this is node and parent.db:
        path = parent.db + "."
    return (path + _without_prefix(own, path)).lower(), whole, node


def _without_prefix(own: str, path: str) -> str:
    """Without what only the parser has put there: `AI.AI_FORECAST(...)`."""
    return own.removeprefix("AI_") if path.upper() == "AI." else own


def _arguments(function: exp.Expr) -> tuple[list[exp.Expr], dict[str, exp.Expr]]:
    given = function.expressions if isinstance(function, exp.Anonymous) else _typed_arguments(function)
    named = {a.this.name.lower(): a.expression for a in given if isinstance(a, exp.Kwarg)}
    return [a for a in given if not isinstance(a, exp.Kwarg)], named


def _typed_arguments(function: exp.Expr) -> list[exp.Expr]:
    """Where sqlglot takes the first argument for a table or a model, it is a column here."""
    values = [function.args.get(name) for name in function.arg_types]
    some = [v for value in values if value for v in (value if isinstance(value, list) else [value])]
    return [exp.column(v.this, v.args.get("db")) if isinstance(v, exp.Table) else v for v in some]
