"""Rendering: the fields of a row and the instruction of a call -> the text of one prompt.

    Classify the sentiment of the data below as negative, neutral or positive.

    {"product": "Kettle", "review": "Boils fast"}

Fields named in the instruction as `{product}` are put there and not repeated in the data. A null field is left out.
A call with `data_first` has the two parts the other way round.

Every value is a JSON string, in the instruction too: whatever it holds (quotes, braces, line breaks, "ignore the
above"), it ends where its string ends, and the fields can be read back from the prompt. What a value is in tokens, see
control_tokens.py.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass

import numpy as np

from sparkllm.calls import LLMCall
from sparkllm.optimizer.encode import NULL, Encoded

__all__ = [
    "VERSION",
    "Template",
    "cell_text",
    "closing_text",
    "instruction_text",
    "key_text",
    "render",
    "static_text",
    "value_text",
]

# Answers are kept under it (udf/answer_keys.py): raise it when the same call and row give another text.
VERSION = 2

_NAME = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
# `{{name}}` stands for the text {name}; every other brace is plain text, as in JSON. Template.scala knows the same.
_TOKEN = re.compile(rf"\{{\{{({_NAME})\}}\}}|\{{({_NAME})\}}")

# Beside what JSON escapes: what ends a line or controls a terminal (C1, U+2028, U+2029), what a tokenizer with NFKC
# makes a quote or a backslash of (U+FF02, U+FE68, U+FF3C), and halves of surrogate pairs, which no tokenizer takes.
_ESCAPED = re.compile("[\x80-\x9f\u2028\u2029\ufe68\uff02\uff3c\ud800-\udfff]")
# A tokenizer with NFC or NFKC joins an accent with a letter in front of it, one of an escape too. No accent is a \w.
_JOINABLE = re.compile(r"(\\(?:[bfnrt]|u[0-9a-f]{3}[a-f]))((?:[^\x00-\x7f\w]|[\uff9e\uff9f])[^\x00-\x7f]*)")


@dataclass(frozen=True)
class Template:
    """An instruction cut at its placeholders: text, column, text, column, ..., text.

    Attributes:
        texts: the literal pieces, one more than `columns`.
        columns: index of the field between two pieces.
    """

    texts: tuple[str, ...]
    columns: tuple[int, ...]

    @classmethod
    def of(cls, call: LLMCall) -> Template:
        """Parse a call's instruction; `{{x}}` stands for the text {x}, `{x}` where no field is called x for itself.

        >>> Template.of(LLMCall(None, "Is {a} {{big}}?", ("a", "b")))
        Template(texts=('Is ', ' {big}?'), columns=(0,))

        Values bring quotes of their own: those around a placeholder are taken for them.

        >>> Template.of(LLMCall(None, 'Is "{a}" big?', ("a",)))
        Template(texts=('Is ', ' big?'), columns=(0,))
        """
        texts, columns, start = [""], [], 0
        text = call.instruction
        for match in _TOKEN.finditer(text):
            texts[-1] += text[start : match.start()]
            start = match.end()
            if match[2] in call.fields:
                if texts[-1].endswith('"') and text.startswith('"', start):
                    texts[-1], start = texts[-1][:-1], start + 1
                columns.append(call.fields.index(match[2]))
                texts.append("")
            else:
                texts[-1] += match[0] if match[2] else f"{{{match[1]}}}"
        texts[-1] += text[start:] + call.form
        return cls(tuple(texts), tuple(columns))

    @property
    def first_fields(self) -> tuple[int, ...]:
        """The fields of the instruction in the order of their first use: they stand before all data."""
        return tuple(dict.fromkeys(self.columns))


def render(call: LLMCall, table: Encoded, order: tuple[int, ...]) -> list[str]:
    """One prompt for each row of `table`, whose columns are the call's fields, in field order `order`.

    >>> from sparkllm.optimizer.encode import encode
    >>> import pyarrow as pa
    >>> table = encode([pa.array(["Kettle", None]), pa.array(["good", "bad"])], 2)
    >>> for text in render(LLMCall(None, "Is it good?", ("product", "review")), table, (1, 0)):
    ...     print(text)
    Is it good?
    <BLANKLINE>
    {"review": "good", "product": "Kettle"}
    Is it good?
    <BLANKLINE>
    {"review": "bad"}
    """
    template = Template.of(call)
    data = [column for column in order if column not in template.columns]
    cells = {column: _cells(call, column, table.values[column]) for column in data}
    bodies = (_body(row, data, cells) for row in table.codes)
    heads = (instruction_text(template, table, row) for row in range(len(table.codes)))
    return [_both(head, body, call.data_first) for head, body in zip(heads, bodies, strict=True)]


def instruction_text(template: Template, table: Encoded, row: int) -> str:
    """The instruction with the row's values in their places, as JSON.

    >>> from sparkllm.optimizer.encode import encode
    >>> import pyarrow as pa
    >>> template = Template.of(LLMCall(None, "Is this of {product}?", ("product",)))
    >>> instruction_text(template, encode([pa.array(["Kettle"])], 1), 0)
    'Is this of "Kettle"?'
    """
    first, *rest = template.texts
    codes = table.codes[row]
    return first + "".join(
        ("null" if codes[column] == NULL else value_text(table.values[column][codes[column]])) + text
        for column, text in zip(template.columns, rest, strict=True)
    )


def static_text(call: LLMCall) -> str:
    """What every prompt of a call begins with, whatever its fields hold.

    >>> static_text(LLMCall(None, "Is {a} good?", ("a",))), static_text(LLMCall(None, "Is it?", ("a",)))
    ('Is ', 'Is it?\\n\\n{')
    """
    template = Template.of(call)
    if call.data_first:
        return "{"
    if template.columns or not call.fields:
        return template.texts[0]
    return f"{template.texts[0]}\n\n{{"


def closing_text(call: LLMCall) -> str:
    """What every prompt of a call that follows another on the same rows ends with: what that one has not sent before.

    >>> closing_text(LLMCall(None, "Is it good?", ("review",), data_first=True, follows=True))
    'Is it good?'
    """
    return Template.of(call).texts[-1] if call.data_first and call.follows else ""


def _both(instruction: str, body: str, data_first: bool) -> str:
    if not body:
        return instruction
    return f"{{{body}}}\n\n{instruction}" if data_first else f"{instruction}\n\n{{{body}}}"


def key_text(name: str) -> str:
    """The name of a field in the data; its value follows behind a space.

    >>> key_text("review")
    '"review":'
    """
    return f"{value_text(name)}:"


def value_text(value: str) -> str:
    """A value in the prompt; in the data the next field's name follows behind a comma and a space.

    >>> print(value_text('a "kettle"'), value_text("a\\u2028b"))
    "a \\"kettle\\"" "a\\u2028b"
    """
    text = json.dumps(value, ensure_ascii=False)
    if text.isascii():
        return text
    text = _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return _JOINABLE.sub(_apart, text) if "\\" in text else text


def _apart(match: re.Match[str]) -> str:
    escape, rest = match.groups()
    joined = not unicodedata.normalize("NFKC", match[0]).startswith(escape)
    return escape + (json.dumps(rest)[1:-1] if joined else rest)


def cell_text(call: LLMCall, value: str) -> str:
    """A value of a call's field; a group's values are a JSON list already (udf/group_items.py)."""
    return value if call.group else value_text(value)


def _cells(call: LLMCall, column: int, values: list[str]) -> list[str]:
    """Each distinct value is rendered once, however many rows hold it."""
    key = key_text(call.fields[column])
    return [f"{key} {cell_text(call, value)}" for value in values]


def _body(row: np.ndarray, data: list[int], cells: dict[int, list[str]]) -> str:
    return ", ".join(cells[column][row[column]] for column in data if row[column] != NULL)
