"""A call over groups (`llm_agg`): each group's values are asked part by part, and the answers asked about in turn.

    values -> parts that fit into the context -> an answer for each -> parts of answers -> ... -> one answer

A group that fits is one request. Parts of all groups of a window go to the engine together; each kind of request is an
Evaluation of its own, so dedup, ledger, budgets and counts are those of any other call. Map-reduce over the context
window, as LOTUS does it (arXiv 2407.11418).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from sparkllm.backend.task_engine import TaskEngine
from sparkllm.udf.evaluation import COUNTS, RESULT, TEXTS, Evaluation
from sparkllm.udf.group_items import item_texts, parts, pieces, shortened
from sparkllm.udf.prompt import static_text, value_text
from sparkllm.udf.task import Task
from sparkllm.udf.window import Answer, Window

__all__ = ["GroupWindow", "Reduction"]

_AROUND = 16  # tokens of the list's name, its brackets and what joins them, at most
_TO_COMBINE = 4  # answers that a request takes at least; quotes and line breaks in them may take twice their tokens
_ROUND_SECONDS = 60.0  # of one wait; a thread cannot be waited for without end by a number
_LEAST_ROOM = 64  # tokens for the values of one request; less combines nothing


@dataclass
class _Group:
    """One row: what is left to ask about."""

    row: int
    items: list[str]
    combining: bool = False
    answers: list[str | None] = field(default_factory=list)


@dataclass
class _Asked:
    """A window of parts that one evaluation has under way, and the group of each."""

    evaluation: Evaluation
    window: Window
    groups: list[_Group]
    last: bool


class Reduction:
    """Plans and restores windows of groups; to the core loop what Evaluation is for rows."""

    def __init__(self, task: Task, engine: TaskEngine, sample: pa.StructArray) -> None:
        self._task, self._engine, self._sample = task, engine, sample
        self._evaluations: dict[tuple[bool, bool], Evaluation] = {}
        first, later = (self._evaluation(combining, last=True) for combining in (False, True))
        room = engine.info.max_model_len - first.answer_tokens - _AROUND
        self._room = {
            one.call.combining: room - len(one.tokenizer.opening(static_text(one.call))) - len(one.tokenizer.frame_end)
            for one in (first, later)
        }

    def submit(self, fields: pa.StructArray) -> GroupWindow:
        """Hand the first parts of a window's groups to the engine."""
        groups = [_Group(row, item_texts(text)) for row, text in enumerate(fields.field(0).to_pylist())]
        window = GroupWindow(self, len(groups))
        self.ask(window, [group for group in groups if group.items])
        return window

    def restore(self, window: GroupWindow) -> pa.StructArray:
        """Wait for all that is left to ask, and lay the answers out."""
        while not window.wait(_ROUND_SECONDS):
            pass
        return window.laid_out()

    def ask(self, window: GroupWindow, groups: list[_Group]) -> None:
        """One more round for these groups; those that no round can answer get their error."""
        cut = [(group, self._parts(group)) for group in groups if self._fits(window, group)]
        for combining in (False, True):
            for last in (False, True):
                some = [(g, p) for g, p in cut if (g.combining, len(p) == 1) == (combining, last)]
                if some:
                    window.under_way.append(self._send(some, combining, last))

    def _parts(self, group: _Group) -> list[str]:
        count, room = self._evaluation(group.combining, last=True).token_counts, self._room[group.combining]
        # Of answers each request takes two or more, so that every round has half as many at most.
        items = shortened(group.items, room, count) if group.combining else group.items
        return parts(*pieces(items, room, count), room)

    def _fits(self, window: GroupWindow, group: _Group) -> bool:
        """Whether the context has room for values; says what to do where it has not."""
        room = self._room[group.combining]
        if room >= _LEAST_ROOM:
            return True
        detail = (
            f"the model takes {self._engine.info.max_model_len:,} tokens, which leaves {max(0, room):,} for the values "
            f"of a group beside the instruction and an answer of {self._evaluation(False, True).answer_tokens:,}; "
            f"lower spark.sparkllm.maxTokens, or take a model with a longer context"
        )
        window.fail(group.row, "too_long", detail)
        self._evaluation(group.combining, last=True).report(Answer(error="too_long", detail=detail))
        return False

    def _send(self, groups: list[tuple[_Group, list[str]]], combining: bool, last: bool) -> _Asked:
        texts = [text for _, some in groups for text in some]
        owners = [group for group, some in groups for _ in some]
        evaluation = self._evaluation(combining, last)
        fields = pa.StructArray.from_arrays([pa.array(texts, pa.string())], names=["f0"])
        return _Asked(evaluation, evaluation.submit(fields), owners, last)

    def _evaluation(self, combining: bool, last: bool) -> Evaluation:
        """That of one kind of request; answers that are asked about again may be cut, and are short enough for that."""
        if (combining, last) not in self._evaluations:
            call = replace(self._task.call, combining=combining)
            if not last:
                most = self._evaluation(combining, last=True).answer_tokens
                call = replace(call, whole=False, max_tokens=max(1, min(most, self._room[True] // _TO_COMBINE)))
            self._evaluations[combining, last] = Evaluation(replace(self._task, call=call), self._engine, self._sample)
        return self._evaluations[combining, last]


class GroupWindow:
    """Groups under way, round by round."""

    def __init__(self, reduction: Reduction, rows: int) -> None:
        self.under_way: list[_Asked] = []
        self._reduction, self._rows = reduction, rows
        self._counts = {name: np.zeros(rows, dtype=np.int64) for name in COUNTS}
        self._texts: dict[str, list[str | None]] = {name: [None] * rows for name in TEXTS}
        self._texts["error"] = ["null_fields"] * rows  # until something was asked
        self._texts["detail"] = ["the group has no values"] * rows

    def wait(self, seconds: float) -> bool:
        """Whether all is answered, after at most `seconds` of waiting for this round; begins the next one."""
        if not all(asked.window.wait(seconds) for asked in self.under_way):
            return False
        ended, self.under_way = self.under_way, []
        again = [group for asked in ended for group in self._take(asked)]
        self._reduction.ask(self, again)
        return not self.under_way

    def cancel(self) -> None:
        """Let the engine drop what it has not answered yet."""
        for asked in self.under_way:
            asked.window.cancel()

    def fail(self, row: int, error: str, detail: str) -> None:
        """There is no answer for a group."""
        self._texts["error"][row] = error
        self._texts["value"][row] = None
        self._texts["detail"][row] = detail

    def laid_out(self) -> pa.StructArray:
        """One entry for each group."""
        texts = [pa.array(self._texts[name], pa.string()) for name in TEXTS]
        counts = [pa.array(self._counts[name], pa.int32()) for name in COUNTS]
        return pa.StructArray.from_arrays([*texts, *counts], names=RESULT.names)

    def _take(self, asked: _Asked) -> list[_Group]:
        """Book what came of a window of parts; the groups that are to be asked about again."""
        answers = asked.evaluation.restore(asked.window)
        rows = np.array([group.row for group in asked.groups])
        for name in COUNTS:
            np.add.at(self._counts[name], rows, answers.field(name).to_numpy(zero_copy_only=False))
        failed: set[int] = set()
        for group, entry in zip(asked.groups, answers.to_pylist(), strict=True):
            group.answers.append(entry["value"])
            if asked.last or (entry["error"] and group.row not in failed):
                for name in TEXTS:
                    self._texts[name][group.row] = entry[name]
            if entry["error"]:
                failed.add(group.row)
        again = {} if asked.last else {g.row: g for g in asked.groups if g.row not in failed}
        for group in again.values():
            group.items = [value_text(answer) for answer in group.answers if answer is not None]
            group.combining, group.answers = True, []
        return list(again.values())
