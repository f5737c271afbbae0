r"""Prompts put together from token ids of their parts: each distinct cell is tokenised once, however many rows hold it.

    Is it good?\n\n{"product":| "Kettle",| "review":| "Boils fast"}

The parts are cut before single spaces, where `joints` knows that the ids of the parts are those of the whole. A value
has one text more where it stands last. Where a tokenizer or a call allows no cut, prompts are tokenised whole.
"""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa

from sparkllm.calls import LLMCall
from sparkllm.optimizer.encode import NULL, Encoded
from sparkllm.optimizer.ordering.cells import Cells
from sparkllm.optimizer.prefix import Sequences, refine
from sparkllm.optimizer.prefix.sent import sent_cells
from sparkllm.udf.prompt import Template, cell_text, instruction_text, key_text, render
from sparkllm.udf.tokens import PromptTokenizer

__all__ = ["TokenPieces"]

_GAP = -1


class TokenPieces:
    """The parts of one table's prompts; a part is tokenised when it is first needed.

    Attributes:
        table: the rows that are sent.
        refused: why prompts are tokenised whole; empty where they are put together.
    """

    def __init__(self, tokenizer: PromptTokenizer, call: LLMCall, table: Encoded, by_cell: bool = True) -> None:
        """Nothing is tokenised yet.

        Args:
            tokenizer: the model's, with its chat frame.
            call: its fields are the table's columns.
            table: the rows that are sent; its dictionaries may hold more values than they use.
            by_cell: prompts are put together from the parts' tokens, where that gives the same ones.
        """
        self._tokenizer, self._call, self.table, self._by_cell = tokenizer, call, table, by_cell
        self._template = Template.of(call)
        self.refused = tokenizer.joints.refused
        if call.data_first and self._template.columns:
            self.refused = "the instruction stands behind the data and holds fields itself"
        self._closing, self._rest = self._end()
        # Parts are numbered: heads (instruction and first name), names, values, values that stand last, tail, frame.
        self._groups, self._rows_of_heads = self._instructions()
        m, values = len(call.fields), [len(one) for one in table.values]
        self._columns = np.cumsum([0, *values])  # the first value of each column
        sizes = len(self._rows_of_heads) * (m + 1), m, sum(values), sum(values), 1, 1
        self._names, self._values, self._last, self._tail, self._frame, parts = map(int, np.cumsum(sizes))
        self._place = np.full(parts, -1, dtype=np.int64)  # of each part in `known`
        self._known = Sequences.of([])

    def _end(self) -> tuple[str, str]:
        """(what follows the last value without a cut, what follows behind it)."""
        if not self._call.data_first:
            return "}", ""
        text = self._template.texts[-1]
        cut = self._tokenizer.joints.first_cut(text)
        return "}\n\n" + text[:cut], text[cut:]

    def _instructions(self) -> tuple[np.ndarray, np.ndarray]:
        """(number of each row's instruction, a row that has it): they differ in the fields that they hold."""
        groups = np.zeros(len(self.table.codes), dtype=np.int64)
        for column in self._template.first_fields:
            groups = refine(groups, self.table.codes[:, column])
        return groups, np.unique(groups, return_index=True)[1]

    def prompts(self, rows: np.ndarray, fields: np.ndarray) -> Sequences:
        """Token ids of whole prompts, frame and all, equal to those of the rendered texts.

        Args:
            rows: int64 [k], the rows of the table in the order in which they are sent.
            fields: int16 [m], or [k, m] where row i belongs to rows[i].
        """
        if self.refused or not self._by_cell or not len(rows):
            return Sequences.of(self._tokenizer.encode(self._texts(rows, np.asarray(fields))))
        parts = self._parts(rows, np.asarray(fields))
        present = parts >= 0
        pieces = self._take(parts[present])
        ends = np.cumsum(present.sum(axis=1))
        return Sequences(pieces.items, pieces.offsets[np.concatenate([[0], ends])])

    @functools.cached_property
    def cells(self) -> Cells:
        """The rows as the ordering takes them, each cell as long as its tokens."""
        return Cells.of(self.table.codes, self.lengths, [pa.array(v, pa.large_string()) for v in self.table.values])

    @property
    def lengths(self) -> list[np.ndarray]:
        """Per column, tokens of each code's cell, name and comma included; 0 for null and in the instruction.

        Where prompts are tokenised whole, this is what a cell has by itself, which may be a token off.
        """
        counts = []
        for column, values in enumerate(self.table.values):
            if column in self._template.columns:
                counts.append(np.zeros(len(values), dtype=np.int64))
                continue
            each = self._take(self._values + np.arange(self._columns[column], self._columns[column + 1])).lengths
            counts.append(each + self._take(np.array([self._names + column])).lengths)
            counts[-1][NULL] = 0
        return counts

    def _parts(self, rows: np.ndarray, fields: np.ndarray) -> np.ndarray:
        """Numbers of each row's parts from left to right, with gaps, int64 [k, 3 + 2 * f]."""
        codes = self.table.codes.copy()
        codes[:, self._template.first_fields] = NULL
        columns, sent, counts = sent_cells(codes, rows, fields)
        level, some = np.arange(sent.shape[1]), counts > 0
        there, last = level < counts[:, None], level == counts[:, None] - 1
        names = np.where(there & (level > 0), self._names + columns, _GAP)  # the first is part of the head
        values = np.where(last, self._last, self._values) + self._columns[columns] + sent
        none = len(self._call.fields)
        first = np.where(some, columns[:, 0], none) if sent.shape[1] else none
        parts = np.full((len(rows), 3 + 2 * sent.shape[1]), _GAP, dtype=np.int64)
        parts[:, 0] = self._groups[rows] * (none + 1) + first
        parts[:, 1:-2:2], parts[:, 2:-2:2] = names, np.where(there, values, _GAP)
        parts[:, -2] = np.where(some & bool(self._rest), self._tail, _GAP)
        parts[:, -1] = self._frame
        return parts

    def _take(self, parts: np.ndarray) -> Sequences:
        """Token ids of these parts; those that are new are tokenised."""
        wanted = np.zeros(len(self._place), dtype=bool)
        wanted[parts] = True
        new = np.flatnonzero(wanted & (self._place < 0))
        if len(new):
            self._place[new] = len(self._known) + np.arange(len(new))
            self._known = self._known.then(Sequences.of(self._tokenise(new)))
        return self._known.take(self._place[parts])

    def _tokenise(self, parts: np.ndarray) -> list[list[int]]:
        """Token ids of parts in ascending order."""
        heads = [self._head(*divmod(part, len(self._call.fields) + 1)) for part in parts[parts < self._names].tolist()]
        texts = [self._text(part) for part in parts[(parts >= self._names) & (parts < self._frame)].tolist()]
        frame = [self._tokenizer.frame_end] if parts[-1] == self._frame else []
        return self._tokenizer.beginnings(heads) + self._tokenizer.pieces(texts) + frame

    def _head(self, group: int, first: int) -> str:
        """An instruction and the name of the first field behind it, if there is one."""
        instruction = instruction_text(self._template, self.table, self._rows_of_heads[group])
        if first == len(self._call.fields):
            return instruction
        data = "{" + key_text(self._call.fields[first])
        return data if self._call.data_first else f"{instruction}\n\n{data}"

    def _text(self, part: int) -> str:
        """Any other part, with the space before it."""
        if part == self._tail:
            return self._rest
        if part < self._values:
            return f" {key_text(self._call.fields[part - self._names])}"
        kind, closing = (self._values, ",") if part < self._last else (self._last, self._closing)
        column = int(np.searchsorted(self._columns, part - kind, side="right")) - 1
        return f" {cell_text(self._call, self.table.values[column][part - kind - self._columns[column]])}{closing}"

    def _texts(self, rows: np.ndarray, fields: np.ndarray) -> list[str]:
        """Whole prompts as text."""
        if fields.ndim == 1:
            return render(self._call, self.table.take(rows), tuple(fields.tolist()))
        texts = np.empty(len(rows), dtype=object)
        orders, which = np.unique(fields, axis=0, return_inverse=True)
        for i, order in enumerate(orders):
            here = np.flatnonzero(which.reshape(-1) == i)
            texts[here] = render(self._call, self.table.take(rows[here]), tuple(order.tolist()))
        return list(texts.tolist())
