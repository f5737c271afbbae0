"""A model's chat template: which text it is, and how it is rendered where there is no transformers."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sparkllm.errors import EngineStartError

__all__ = ["NONE", "PLAIN", "Render", "default_template", "one_day", "renderer", "template_text"]

Messages = list[dict[str, Any]]
# (messages, what else the template is told) -> the prompt's text up to where the answer begins
Render = Callable[[Messages, Mapping[str, Any]], str]

NONE = "none"
# For base models: the texts one below the other. The answer begins on a line of its own, so with no space.
PLAIN = "{% for message in messages %}{{ message['content'] }}\n\n{% endfor %}Answer:{{ '\\n' }}"

_DAY = datetime.datetime(2024, 7, 26)
_HOW = "set spark.sparkllm.chatTemplate to a template of this model (a path or Jinja text)"


def template_text(setting: str) -> str:
    """The Jinja text that `spark.sparkllm.chatTemplate` means; "" for the model's own.

    >>> template_text("none") == PLAIN, template_text("{{ messages[0].content }}")
    (True, '{{ messages[0].content }}')

    Raises:
        EngineStartError: it names no file.
    """
    if setting.strip() == NONE:
        return PLAIN
    # Jinja text has braces or line breaks; anything else names a file.
    if not setting or "{" in setting or "\n" in setting:
        return setting
    path = Path(setting).expanduser()
    if not path.is_file():
        raise EngineStartError(
            f"spark.sparkllm.chatTemplate takes Jinja text, the path of a file with it, or 'none' for plain text; "
            f"found none of them in {setting!r}: correct the path"
        )
    return path.read_text(encoding="utf-8")


def default_template(found: Any) -> str:
    """Of what a tokenizer has as its `chat_template`: the text, or that of the one called default; "" for none.

    >>> default_template([{"name": "tools", "template": "a"}, {"name": "default", "template": "b"}])
    'b'

    Args:
        found: a text; a list of named texts, as in tokenizer_config.json; texts by name; or None.

    Raises:
        EngineStartError: there are several, and none is called default.
    """
    if isinstance(found, (list, tuple)):
        found = {one["name"]: one["template"] for one in found}
    if not isinstance(found, Mapping):
        return str(found or "")
    if found and "default" not in found:
        raise EngineStartError(
            f"a chat template called default was expected, the model's tokenizer has {', '.join(sorted(found))}: {_HOW}"
        )
    return str(found.get("default", ""))


def one_day(form: str) -> str:
    """What templates get for the date: always the same day, the one Llama 3 takes where it is told none.

    With the real one, all prompts of a model would be other ones each day, and no kept answer would be found again.

    >>> one_day("%d %b %Y")
    '26 Jul 2024'
    """
    return _DAY.strftime(form)


def renderer(template: str, tokens: Mapping[str, str]) -> Render:
    """Renders as transformers does.

    Args:
        template: Jinja text.
        tokens: the model's special tokens by name, such as bos_token.

    Raises:
        EngineStartError: jinja2 is not there, or the text is no Jinja.
    """
    try:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:  # comes with vLLM
        raise EngineStartError("jinja2 was expected, to read the model's chat template: pip install jinja2") from None
    # loopcontrols are what some templates' `break` needs.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _generation_tag()]
    )

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment.filters["tojson"] = _tojson
    environment.globals |= {"raise_exception": refuse, "strftime_now": one_day}
    try:
        compiled = environment.from_string(template)
    except TemplateError as error:
        raise EngineStartError(f"a chat template in Jinja was expected, it cannot be read: {error}: {_HOW}") from error

    def render(messages: Messages, options: Mapping[str, Any]) -> str:
        told = {"tools": None, "documents": None, "add_generation_prompt": True} | dict(tokens) | dict(options)
        return compiled.render(messages=messages, **told)

    return render


def _tojson(value: Any, ensure_ascii: bool = False, **form: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **form)


def _generation_tag() -> Any:
    """`{% generation %}` marks what a training run learns from; here it is as if it were not there."""
    from jinja2 import nodes
    from jinja2.ext import Extension

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 - jinja2's own way to say it

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)

    return Generation
