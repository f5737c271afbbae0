"""Language codes -> names, which instructions speak of."""

from __future__ import annotations

__all__ = ["language"]

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
