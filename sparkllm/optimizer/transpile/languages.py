"""Language codes -> names, which instructions speak of."""

from __future__ import annotations

from sqlglot import exp

from sparkllm.errors import TranspileError
from sparkllm.optimizer.transpile.foreign import constant, text

__all__ = ["language", "target"]

_NAMES = {
    "ar": "Arabic", "zh": "Chinese", "hr": "Croatian", "cs": "Czech", "nl": "Dutch", "en": "English", "fi": "Finnish",
    "fr": "French", "de": "German", "el": "Greek", "he": "Hebrew", "hi": "Hindi", "it": "Italian", "ja": "Japanese",
    "ko": "Korean", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "es": "Spanish", "sv": "Swedish", "tr": "Turkish",
}  # fmt: skip


def language(code: str) -> str:
    """The language of a code; what is no code of these stays.

    >>> language("de"), language("de_DE"), language("Swiss German")
    ('German', 'German', 'Swiss German')
    """
    return _NAMES.get(code.lower().replace("-", "_").split("_")[0], code) if len(code) <= 5 else code


def target(e: exp.Expr | None) -> exp.Expr:
    """The language to translate into, by its name.

    Raises:
        TranspileError: it is not constant.
    """
    if (code := constant(e)) is None:
        raise TranspileError("takes a constant target language")
    return text(language(code))
