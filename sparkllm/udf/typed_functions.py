"""The typed tasks as Columns: `df.select(llm_translate("review", "French"))`; the same plans as in SQL.

Every function takes these options by name, None or left out for the session's:

    model         path or Hugging Face id
    order         "fields", "auto", "rows+fields", "rows" or "off", as in `llm()`
    selectivity   your guess at the share of rows that a condition over the answer keeps
    max_tokens    most output tokens of an answer that is no label; one that is cut is NULL
    on_error      what a row without an answer gets: "null", "fail", or "struct" for STRUCT<value, error>

`x` is a column, its name, or `struct("title", "body")` for several. NULL in, NULL out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

from pyspark.sql import Column
from pyspark.sql import functions as F

from sparkllm.call_options import CallOptions
from sparkllm.errors import CallError
from sparkllm.task_constants import constant_of
from sparkllm.tasks import tasks
from sparkllm.udf.functions import call, column_of

__all__ = [
    "llm_agg",
    "llm_classify",
    "llm_extract",
    "llm_filter",
    "llm_fix_grammar",
    "llm_gen",
    "llm_mask",
    "llm_score",
    "llm_summarize",
    "llm_summarize_agg",
    "llm_translate",
]


class Options(TypedDict, total=False):
    """Options of every function, see above."""

    model: str | None
    order: str | None
    selectivity: float | None
    max_tokens: int | None
    on_error: str | None


def llm_classify(x: Column | str, labels: Sequence[str] | None = None, **options: Unpack[Options]) -> Column:
    """One of the labels, a STRING; negative, neutral or positive without any."""
    return _of_data("classify", x, [labels], options)


def llm_filter(prompt: Column | str, *fields: Column | str, **options: Unpack[Options]) -> Column:
    """Whether it is so, a BOOLEAN: `df.where(llm_filter("Is {title} about money?"))`."""
    return _of_prompt("filter", prompt, fields, options)


def llm_extract(x: Column | str, schema: str | Sequence[str], **options: Unpack[Options]) -> Column:
    """What the data says, a STRUCT: columns as in CREATE TABLE, or names, which are STRINGs then."""
    return _of_data("extract", x, [schema], options)


def llm_summarize(x: Column | str, max_words: int | None = None, **options: Unpack[Options]) -> Column:
    """A summary in at most so many words, 50 when left out; 0 says nothing of its length."""
    return _of_data("summarize", x, [max_words], options)


def llm_translate(x: Column | str, lang: str, **options: Unpack[Options]) -> Column:
    """The text in another language, by its English name."""
    return _of_data("translate", x, [lang], options)


def llm_score(prompt: Column | str, *fields: Column | str, **options: Unpack[Options]) -> Column:
    """A number, a DOUBLE; the prompt says what of, and on which scale."""
    return _of_prompt("score", prompt, fields, options)


def llm_gen(prompt: Column | str, *fields: Column | str, **options: Unpack[Options]) -> Column:
    """What the model answers, a STRING.

    Args:
        prompt: a text, in which `{title}` stands for that field; or a Column: one that puts texts and columns together
            (`F.concat(F.lit("Describe "), "title")`) is taken apart, so that prompts share their beginning.
        fields: columns that the model sees beside it.
        options: see above.
    """
    return _of_prompt("gen", prompt, fields, options)


def llm_mask(x: Column | str, labels: Sequence[str], **options: Unpack[Options]) -> Column:
    """The text with [MASKED] in place of what the labels name: `["person", "email"]`."""
    return _of_data("mask", x, [labels], options)


def llm_fix_grammar(x: Column | str, **options: Unpack[Options]) -> Column:
    """The text with its grammar and spelling corrected."""
    return _of_data("fix_grammar", x, [], options)


def llm_agg(prompt: str, x: Column | str, **options: Unpack[Options]) -> Column:
    """One answer about all values of a group, a STRING: `df.groupBy("product").agg(llm_agg("What is bad?", "review"))`.

    A group that does not fit into the model's context is asked about part by part, then its answers, until one is left
    (udf/reduction.py). NULLs are left out; a group without values is NULL.
    """
    return _of_prompt("agg", prompt, [x], options)


def llm_summarize_agg(x: Column | str, max_words: int | None = None, **options: Unpack[Options]) -> Column:
    """One summary of all values of a group, in at most so many words, 100 when left out; else as `llm_agg`."""
    return _of_data("summarize_agg", x, [max_words], options)


def _of_data(task: str, x: Column | str, constants: Sequence[Any], options: Options) -> Column:
    function = tasks()[task].function
    arguments = zip(tasks()[task].arguments, constants, strict=True)
    given = [constant_of(function, a.name, a.type, v) for a, v in arguments if v is not None or a.default is None]
    columns = [column_of(function, x), *(F.array(*map(F.lit, v)) if isinstance(v, tuple) else F.lit(v) for v in given)]
    return call(function, columns, _checked(function, options))


def _of_prompt(task: str, prompt: Column | str, fields: Sequence[Column | str], options: Options) -> Column:
    function = tasks()[task].function
    if not isinstance(prompt, (Column, str)):
        raise CallError(f"{function}() expects its prompt to be a text or a Column, got {prompt!r}")
    first = F.lit(prompt) if isinstance(prompt, str) else prompt
    return call(function, [first, *(column_of(function, field) for field in fields)], _checked(function, options))


def _checked(function: str, options: Options) -> dict[str, Any]:
    CallOptions.of(function, options)
    return dict(options)
