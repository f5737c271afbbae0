"""Chat templates of the kinds that models have, read from files and by transformers: both must give the same frame."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sparkllm.backend.chat import Chat, Frame, Frames, own_renderer, split_template, start_of_text
from sparkllm.backend.chat_template import PLAIN, one_day, renderer, template_text
from sparkllm.backend.engine import EngineSpec
from sparkllm.backend.model_files import chat_frames, model_files
from sparkllm.backend.thoughts import Thoughts
from sparkllm.config import LLMConfig
from sparkllm.errors import ConfigError, EngineStartError

from .made_up_models import CHATML, GEMMA, QWEN_3, R1, made_up_model, tokenizer_of

HELD, BRIEF = Chat(held=True), Chat(system="Be brief.")
USER = "<|im_start|>user\n"
ASKS = "<|im_end|>\n<|im_start|>assistant\n"
NO_THOUGHT = "<think>\n\n</think>\n\n"


def by_transformers(folder: Path, template: str = "") -> Frames:
    """What sparkllm/backend/vllm_engine.py makes of it, but for vLLM."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    render, text = own_renderer(tokenizer, template)
    fast = tokenizer.backend_tokenizer
    return Frames(render, Thoughts.of(fast, text), start_of_text(fast, text))


def by_files(folder: Path, template: str = "") -> Frames:
    """What the driver and a dry run make of it."""
    return chat_frames(model_files(str(folder)), template)


Reader = Callable[..., Frames]


@pytest.fixture(params=[by_files, by_transformers], ids=["files", "transformers"])
def frames(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    return lambda *args, **files: made_up_model(tmp_path / "m", *args, **files)


Make = Callable[..., Path]


def both(frame: Frame) -> tuple[str, str]:
    return frame.prefix, frame.suffix


def test_a_template_in_the_config(make: Make, frames: Reader) -> None:
    assert both(frames(make(CHATML)).of(Chat())) == (USER, ASKS)


def test_of_several_templates_the_default_one_is_taken(make: Make, frames: Reader) -> None:
    several = [{"name": "tools", "template": "{{ no }}"}, {"name": "default", "template": CHATML}]
    assert both(frames(make(several)).of(Chat())) == (USER, ASKS)


def test_several_templates_without_a_default_are_named(make: Make, frames: Reader) -> None:
    several = [{"name": "tools", "template": CHATML}, {"name": "rag", "template": CHATML}]
    with pytest.raises(EngineStartError, match=r"has rag, tools: set spark\.sparkllm\.chatTemplate"):
        frames(make(several))


def test_a_jinja_file_comes_before_the_config(make: Make, frames: Reader) -> None:
    folder = make("{{ not_this }}", chat_template__jinja=CHATML)
    assert both(frames(folder).of(Chat())) == (USER, ASKS)


def test_a_default_among_the_additional_templates_comes_before_all(make: Make, frames: Reader) -> None:
    folder = make("{{ not_this }}", chat_template__jinja="{{ nor_this }}")
    more = folder / "additional_chat_templates"
    more.mkdir()
    (more / "default.jinja").write_text(CHATML)
    (more / "tools.jinja").write_text("{{ no }}")
    assert both(frames(folder).of(Chat())) == (USER, ASKS)


def test_a_template_in_a_json_file_of_its_own_is_found(make: Make) -> None:
    folder = make(chat_template__json=json.dumps({"chat_template": CHATML}))
    assert both(by_files(folder).of(Chat())) == (USER, ASKS)


def test_without_a_template_there_is_none(make: Make, frames: Reader) -> None:
    with pytest.raises(EngineStartError, match="a chat template was expected, the model's tokenizer has none"):
        frames(make())


def test_a_given_template_stands_for_the_models(make: Make, frames: Reader) -> None:
    given = "{{ bos_token }}[{{ messages[0].content }}]{{ eos_token }}{{ sep_token }}"
    assert both(frames(make(CHATML), given).of(Chat())) == ("<s>[", "]<|im_end|>")


def test_a_base_model_gets_plain_text_behind_its_first_token(make: Make, frames: Reader) -> None:
    plain = frames(make(), template_text("none"))
    assert both(plain.of(Chat())) == ("<s>", "\n\nAnswer:\n")
    assert both(plain.of(BRIEF)) == ("<s>Be brief.\n\n", "\n\nAnswer:\n")
    assert not plain.of(BRIEF).beside


def test_none_is_a_setting_and_a_wrong_path_is_refused() -> None:
    assert EngineSpec.of(LLMConfig(chat_template="none"), "demo", "app").chat_template == PLAIN
    with pytest.raises(EngineStartError, match="Jinja text, the path of a file with it, or 'none'"):
        EngineSpec.of(LLMConfig(chat_template="/no/such/file"), "demo", "app")


def test_a_system_prompt_stands_where_the_template_has_it(make: Make, frames: Reader) -> None:
    found = frames(make(CHATML)).of(BRIEF)
    assert found == Frame(f"<|im_start|>system\nBe brief.<|im_end|>\n{USER}", ASKS, cut="</think>")


def test_a_template_that_refuses_a_system_prompt_gets_it_before_the_message(make: Make, frames: Reader) -> None:
    found = frames(make(GEMMA)).of(BRIEF)
    assert both(found) == (f"<s>{USER}Be brief.\n\n", "<|im_end|>\n<|im_start|>model\n")
    assert found.beside


def test_a_template_that_drops_a_system_prompt_gets_it_before_the_message(make: Make, frames: Reader) -> None:
    drops = CHATML.replace(
        "<|im_start|>{{", "{% if message['role'] == 'system' %}{% continue %}{% endif %}<|im_start|>{{"
    )
    found = frames(make(drops)).of(BRIEF)
    assert both(found) == (f"{USER}Be brief.\n\n", ASKS)
    assert found.beside


def test_a_switch_for_thoughts_is_off_unless_asked_for(make: Make, frames: Reader) -> None:
    found = frames(make(QWEN_3))
    for chat in (Chat(), HELD, Chat(thinking="off"), Chat(thinking="off", held=True)):
        assert found.of(chat).suffix == ASKS + NO_THOUGHT
    assert found.of(Chat(thinking="on")).suffix == ASKS
    assert found.of(Chat(thinking="on", held=True)).suffix == f"{ASKS}<think>\n"


def test_a_thought_that_the_template_opens_is_ended_where_the_answer_is_held(make: Make, frames: Reader) -> None:
    found = frames(make(R1))
    assert found.of(Chat()).suffix == f"{ASKS}<think>\n"
    assert found.of(Chat(thinking="on", held=True)).suffix == f"{ASKS}<think>\n"
    assert found.of(HELD).suffix == found.of(Chat(thinking="off")).suffix == ASKS + NO_THOUGHT


def test_only_free_texts_are_searched_for_thoughts(make: Make, frames: Reader) -> None:
    found = frames(make(QWEN_3))
    assert [found.of(chat).cut for chat in (Chat(), HELD)] == ["</think>", ""]


def test_a_model_without_marks_has_no_thoughts(tmp_path: Path, frames: Reader) -> None:
    folder = made_up_model(tmp_path / "m", CHATML, tokenizer_of(plain=()))
    for thinking in ("auto", "off", "on"):
        for held in (False, True):
            assert frames(folder).of(Chat("", thinking, held)) == Frame(USER, ASKS)


def test_thoughts_before_a_held_answer_need_marks_that_vllm_waits_for(tmp_path: Path) -> None:
    tokenizer = tokenizer_of(plain=(), special=("[THINK]", "[/THINK]"))
    found = by_files(made_up_model(tmp_path / "m", CHATML, tokenizer))
    with pytest.raises(ConfigError, match=r"between \[THINK\] and \[/THINK\].*Set spark\.sparkllm\.thinking to auto"):
        found.of(Chat(thinking="on", held=True))
    assert found.of(Chat(thinking="on")).suffix == ASKS


def test_an_answer_of_a_model_that_opens_its_channels_itself_is_put_into_the_last_one(tmp_path: Path) -> None:
    special = ("<|channel|>", "<|message|>")
    found = by_files(made_up_model(tmp_path / "m", CHATML, tokenizer_of((), special)))
    assert found.of(Chat()).suffix == ASKS
    assert found.of(HELD).suffix == f"{ASKS}<|channel|>final<|message|>"


def test_the_day_is_the_same_every_day(make: Make, frames: Reader) -> None:
    dated = "{% if strftime_now is defined %}{{ strftime_now('%d %B %Y') }}{% endif %}" + CHATML
    assert frames(make(dated)).of(Chat()).prefix == f"26 July 2024{USER}" == one_day("%d %B %Y") + USER


def test_a_template_may_use_what_transformers_gives_it(make: Make, frames: Reader) -> None:
    rich = (
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% break %}{% endfor %}"
        "{{ {'a': '<é>'} | tojson }}{% if tools %}no{% endif %}{% if documents is none %}!{% endif %}"
    )
    assert both(frames(make(rich)).of(Chat())) == ("", '{"a": "<é>"}!')


def test_a_template_that_takes_messages_in_parts_gets_them(make: Make, frames: Reader) -> None:
    parts = (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{% for part in message.content %}"
        "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    found = frames(make(parts))
    assert both(found.of(Chat())) == (USER, ASKS)
    assert both(found.of(BRIEF)) == (f"<|im_start|>system\nBe brief.<|im_end|>\n{USER}", ASKS)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ raise_exception('no users here') }}", "it failed: TemplateError: no users here"),
        ("{{ messages[0].content }}{{ messages[0].content }}", "exactly once, it wrote it 2 times"),
        ("nothing", "exactly once, it wrote it 0 times"),
    ],
)
def test_a_template_that_cannot_be_used_says_why(template: str, why: str) -> None:
    render = renderer(template, {})
    with pytest.raises(EngineStartError, match=why):
        split_template(lambda messages: render(messages, {}))


def test_a_template_with_a_mistake_in_it_is_refused(make: Make) -> None:
    with pytest.raises(EngineStartError, match=r"in Jinja was expected, it cannot be read.*chatTemplate"):
        by_files(make("{% if %}"))
