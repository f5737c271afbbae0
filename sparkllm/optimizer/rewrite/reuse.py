"""A call that the derived table below has made already is that table's column."""

from __future__ import annotations

from sqlglot import exp

from sparkllm.optimizer.rewrite.asked import called, calls_in, is_call, lower_names, text_of
from sparkllm.optimizer.rewrite.push_filters import outputs, single_source
from sparkllm.prompt_parts import placeholders

__all__ = ["reuse_answers"]


def reuse_answers(select: exp.Select) -> None:
    """`SELECT llm('classify', r) FROM (SELECT review AS r, llm('classify', review) AS c FROM t)` -> `SELECT c ...`."""
    inner = single_source(select)
    if inner is None:
        return
    columns = outputs(inner)
    known = {text_of(lower_names(e)): name for name, e in columns.items() if e is not None and is_call(e)}
    if not known:
        return
    alias = select.args["from_"].this.alias
    for call in [c for part in select.args.values() for e in _each(part) for c in calls_in(e)]:
        name = known.get(_below(call, alias, columns))
        if name is not None and _keeps_placeholders(call, columns):
            call.replace(called(exp.column(exp.to_identifier(name, quoted=True)), ""))


def _each(part: object) -> list[exp.Expr]:
    found = part if isinstance(part, list) else [part]
    return [e for e in found if isinstance(e, exp.Expr) and not isinstance(e, exp.From | exp.With)]


def _keeps_placeholders(call: exp.Expr, columns: dict[str, exp.Expr | None]) -> bool:
    """`{title}` in its prompt is the same column below."""
    texts = [str(text.this) for text in call.find_all(exp.Literal) if text.is_string]
    for name in (name.partition(".")[0].lower() for text in texts for name in placeholders(text)):
        value = columns.get(name, columns.get("*"))
        if not (isinstance(value, exp.Star) or (isinstance(value, exp.Column) and value.name.lower() == name)):
            return False
    return True


def _below(call: exp.Expr, alias: str, columns: dict[str, exp.Expr | None]) -> str:
    """The call as the inner query would write it."""
    copy = call.copy()
    for column in list(copy.find_all(exp.Column)):
        parts = column.parts[1:] if alias and column.parts[0].name.lower() == alias.lower() else column.parts
        value = columns.get(parts[0].name.lower())
        if len(parts) == 1 and value is not None:
            column.replace(value.copy())
    return text_of(lower_names(copy))
