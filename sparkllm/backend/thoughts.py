"""What a reasoning model thinks aloud before it answers: found by its marks, and cut from the answer's value.

Marks that are tokens of their own are found as such, so that the same letters, copied out of a row, stay in the value;
where they are plain text to the tokenizer, the letters are all there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from sparkllm.errors import ConfigError

__all__ = ["THINK", "Cut", "Thoughts", "cut_thoughts"]

THINK = ("<think>", "</think>")
# (opens, closes, what a prompt may end with so that the answer follows at once where nothing was opened); those that
# vLLM 0.32 knows, see its vllm/reasoning and vllm/parser.
_MARKS = (
    (*THINK, ""),
    ("<seed:think>", "</seed:think>", ""),
    ("<mm:think>", "</mm:think>", ""),
    ("[THINK]", "[/THINK]", ""),
    ("<|START_THINKING|>", "<|END_THINKING|>", ""),
    ("◁think▷", "◁/think▷", ""),
    ("<|plamo:begin_think:plamo|>", "<|plamo:end_think:plamo|>", ""),
    ("<ifm|think>", "</ifm|think>", ""),
    ("<|channel>", "<channel|>", ""),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>", "<|channel|>final<|message|>"),  # gpt-oss
    ("Here is my thought process:", "Here is my response:", ""),  # Granite 3.2
)
_BREAKS = 3  # tokens of spaces and line breaks that may follow an opening mark
_TAIL = 32  # tokens of a prompt in which an opening mark of plain text is looked for

# A text, or a mark: True opens, False closes.
Part = str | bool


class Cut(NamedTuple):
    """An answer without its thoughts.

    Attributes:
        text: what is left.
        thought: there was a thought.
        open: it had not ended.
    """

    text: str
    thought: bool
    open: bool


def cut_thoughts(parts: Iterable[Part], opened: bool = False) -> Cut:
    """Leave out what stands between marks, and all before a closing one that nothing has opened.

    Marks do not nest: a thought ends with the next closing mark, and what follows up to one more is thought as well.

    >>> cut_thoughts([True, "Hm. ", True, "Again.", False, " So", False, "\\n\\nyes"])
    Cut(text='yes', thought=True, open=False)
    >>> cut_thoughts(["Hm.", False, " yes"]), cut_thoughts(["Hm. And"], opened=True)
    (Cut(text='yes', thought=True, open=False), Cut(text='', thought=True, open=True))

    Args:
        parts: of the answer.
        opened: the prompt has opened a thought.
    """
    kept: list[str] = []
    inside = thought = opened
    for part in parts:
        if isinstance(part, str):
            kept += [] if inside else [part]
            continue
        if not part and not inside:
            kept.clear()
        inside, thought = part, True
    text = "".join(kept)
    return Cut(text.lstrip() if thought else text, thought, inside)


@dataclass(frozen=True)
class Thoughts:
    """One model's marks.

    Attributes:
        opening, closing: the marks.
        skip: what a prompt ends with so that the answer follows at once, where nothing was opened.
        tokens: the ids of the two marks, where they are tokens; else None.
    """

    opening: str
    closing: str
    skip: str
    tokens: tuple[tuple[int, ...], tuple[int, ...]] | None

    @classmethod
    def of(cls, tokenizer: Any, template: str) -> Self | None:
        """The marks that a model's chat template speaks of, or else those that are tokens of it; None without any.

        Args:
            tokenizer: a `tokenizers.Tokenizer`.
            template: the text of the chat template.
        """
        known = [cls(*marks, _ids(tokenizer, marks[:2])) for marks in _MARKS]
        named = [thoughts for thoughts in known if thoughts.closing in template]
        return next(iter(named + [thoughts for thoughts in known if thoughts.tokens]), None)

    def begin(self, suffix: str, thinking: str, held: bool) -> str:
        """The end of a prompt, changed so that the answer begins with a thought, or with none, as is wanted.

        Args:
            suffix: as the chat template has it.
            thinking: auto, off or on.
            held: the answer is held to choices or a type.

        Raises:
            ConfigError: a thought is to come before an answer that is held, and vLLM has no way to tell where it ends.
        """
        bare = suffix.rstrip()
        open_ = bare.endswith(self.opening)
        if thinking == "on" and held:
            if not self.may_hold_after:
                raise ConfigError(
                    f"spark.sparkllm.thinking=on was found, and a call with labels or a schema to a model that thinks "
                    f"between {self.opening} and {self.closing}: its answer can be held to them after a thought only "
                    f"where the marks are the tokens {' and '.join(THINK)}. Set spark.sparkllm.thinking to auto"
                )
            return suffix if open_ or bare.endswith(self.closing) else f"{suffix}{self.opening}\n"
        if thinking == "on" or (thinking == "auto" and not held):
            return suffix
        # An empty thought, as Qwen3's template writes it (and arXiv 2504.09858 for models that have no such switch).
        return f"{bare}\n\n{self.closing}\n\n" if open_ else suffix + ("" if bare.endswith(self.skip) else self.skip)

    @property
    def may_hold_after(self) -> bool:
        """Whether vLLM's structured output can wait for the end of a thought: it takes one parser, `THINK`'s."""
        return self.tokens is not None and (self.opening, self.closing) == THINK

    def left_open(self, prompt: Sequence[int], tokenizer: Any) -> bool:
        """Whether a prompt, as token ids, ends inside a thought that it has opened itself."""
        if self.tokens is None:
            return str(tokenizer.decode(list(prompt[-_TAIL:]))).rstrip().endswith(self.opening)
        opening = self.tokens[0]
        for start in range(len(prompt) - len(opening), max(-1, len(prompt) - len(opening) - 4), -1):
            if tuple(prompt[start : start + len(opening)]) == opening:
                return not str(
                    tokenizer.decode(list(prompt[start + len(opening) :]), skip_special_tokens=False)
                ).strip()
        return False

    def parts(self, ids: Sequence[int], tokenizer: Any) -> list[Part]:
        """An answer's texts and marks."""
        if self.tokens is None:
            text = str(tokenizer.decode(list(ids), skip_special_tokens=True))
            marks = {self.opening: True, self.closing: False}
            pattern = f"({'|'.join(map(re.escape, marks))})"
            return [marks.get(part, part) for part in re.split(pattern, text) if part]
        return [
            part if isinstance(part, bool) else str(tokenizer.decode(part, skip_special_tokens=True))
            for part in _split(ids, *self.tokens)
        ]

    def after(self, parts: Iterable[Part]) -> str | None:
        """What follows the first closing mark, marks included; None where there is none."""
        rest = iter(parts)
        if not any(part is False for part in rest):
            return None
        return "".join(part if isinstance(part, str) else self.opening if part else self.closing for part in rest)


def _ids(tokenizer: Any, marks: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """A mark is tokens where it begins and ends with one that no text gives: then it is the same ones everywhere."""
    added = tokenizer.get_added_tokens_decoder()
    opening, closing = (tuple(tokenizer.encode(mark, add_special_tokens=False).ids) for mark in marks)
    whole = all(ids and ids[0] in added and ids[-1] in added for ids in (opening, closing))
    return (opening, closing) if whole else None


def _split(ids: Sequence[int], opening: tuple[int, ...], closing: tuple[int, ...]) -> list[list[int] | bool]:
    """Runs of ids between marks; True for one that opens, False for one that closes."""
    found: list[list[int] | bool] = []
    first, start = {opening[0], closing[0]}, 0
    for place in (i for i, token in enumerate(ids) if token in first):
        mark = next((m for m in (opening, closing) if tuple(ids[place : place + len(m)]) == m), None)
        if mark is None or place < start:
            continue
        found += [list(ids[start:place])] if place > start else []
        found.append(mark == opening)
        start = place + len(mark)
    return [*found, list(ids[start:])] if start < len(ids) else found
