"""From a function's name and its arguments to a call, and what every call that existed before is still."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sparkllm.answer_ddl import answer_schema, parse_ddl
from sparkllm.backend.engine import Sampling
from sparkllm.calls import LLMCall
from sparkllm.errors import CallError
from sparkllm.own_tasks import define, own_tasks
from sparkllm.tasks import FIRST, tasks
from sparkllm.typed_call import Column, Concat, Struct, typed_call
from sparkllm.udf.answer_keys import question

X, Y = Column("review"), Column("title")
NAME = '{"type":"struct","fields":[{"name":"name","type":"string","nullable":true,"metadata":{}}]}'

FORMAT = (
    '{"type": "json_schema", "json_schema": {"name": "who", "schema": {"type": "object", "properties": {"name": '
    '{"type": "string"}, "ages": {"type": ["array", "null"], "items": {"type": "integer"}, "description": '
    '"all of them"}}, "required": ["name"]}, "strict": true}}'
)

# call as JSON, how it is sampled, as users see it, what the model is told, the rows' part of its key in the ledger
BEFORE = [
    ({"task": "classify", "fields": ["review"]}, Sampling(9, choices=("negative", "neutral", "positive")),
     "llm('classify', review)", "Classify the sentiment of the data below as negative, neutral or positive.",
     "17f39459e4eef7a571413e1168949666"),
    ({"task": "classify", "fields": ["a", "b"], "labels": ["spam", "ham"], "order": "auto"},
     Sampling(5, choices=("spam", "ham")), "llm('classify', a, b, labels => array('spam', 'ham'), order => 'auto')",
     "Classify the data below as spam or ham.", "ae720a4aad4f7c481e277c1a32c02b7c"),
    ({"prompt": "Is {a} good?", "fields": ["a", "b"], "model": "m"}, Sampling(),
     "llm('Is {a} good?', a, b, model => 'm')", "Is {a} good?", "dd6e5531ba7252db8745461b4150164a"),
    ({"prompt": "Who wrote it?", "fields": ["a"], "schema": NAME}, Sampling(128, json_schema="{}"),
     "llm('Who wrote it?', a, schema => 'name STRING')",
     'Who wrote it?\n\nAnswer with one JSON object: {"name": string or null}', "a1234f772b85af63013716df7f6cff00"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "sampling", "shown", "told", "key"), BEFORE)
def test_calls_of_before_keep_their_text_and_their_key(
    raw: dict[str, Any], sampling: Sampling, shown: str, told: str, key: str
) -> None:
    call = LLMCall.from_json(json.dumps(raw))
    assert (str(call), call.instruction + call.form) == (shown, told)
    assert question(call, "f", sampling).hex() == key


# function, arguments, options -> as users see it, what the model is told, labels, reading, type
MADE = [
    ("llm_classify", [X, ["a", "b"]], {}, "llm_classify(review, array('a', 'b'))",
     "Classify the data below as a or b.", ("a", "b"), "text", "STRING"),
    ("llm_classify", [X], {}, "llm_classify(review)",
     "Classify the sentiment of the data below as negative, neutral or positive.", ("negative", "neutral", "positive"),
     "text", "STRING"),
    ("llm_filter", ["Is {title} cheap?", X], {}, "llm_filter('Is {title} cheap?', review, title)",
     "Is {title} cheap?\n\nAnswer true or false.", ("true", "false"), "boolean", "BOOLEAN"),
    ("llm_extract", [X, "name STRING, age INT"], {}, "llm_extract(review, 'name STRING, age INT')",
     'Extract these values from the data below.\n\nAnswer with one JSON object: '
     '{"name": string or null, "age": integer or null}', (), "columns", "STRUCT<name: STRING, age: INT>"),
    ("llm_extract", [X, ["name", "a b"]], {}, "llm_extract(review, array('name', 'a b'))",
     'Extract these values from the data below.\n\nAnswer with one JSON object: '
     '{"name": string or null, "a b": string or null}', (), "columns", "STRUCT<name: STRING, `a b`: STRING>"),
    ("llm_summarize", [Struct((X, Y))], {}, "llm_summarize(struct(review, title))",
     "Summarise the data below in at most 50 words.", (), "text", "STRING"),
    ("llm_summarize", [X, 0], {}, "llm_summarize(review, 0)", "Summarise the data below.", (), "text", "STRING"),
    ("llm_translate", [X], {"LANG": "French"}, "llm_translate(review, 'French')",
     "Translate the text of the data below into French. Answer with the translation alone.", (), "text", "STRING"),
    ("llm_score", ["How good is it, from 1 to 5?", X], {"max_tokens": 8, "on_error": "struct"},
     "llm_score('How good is it, from 1 to 5?', review, max_tokens => 8, on_error => 'struct')",
     'How good is it, from 1 to 5?\n\nAnswer with one JSON object: {"answer": number}', (), "answer", "DOUBLE"),
    ("llm_gen", [Concat(("Write of {it}: ", Y, "."))], {"order": "rows"},
     "llm_gen('Write of {{it}}: {title}.', title, order => 'rows')", "Write of {{it}}: {title}.", (), "text", "STRING"),
    ("llm_mask", [X, ["name"]], {}, "llm_mask(review, array('name'))",
     "Copy the text of the data below word for word, but write [MASKED] in place of each name. Answer with that text "
     "alone.", (), "text", "STRING"),
    ("llm", ["mask", X], {"labels": ["name", "email"]}, "llm('mask', review, labels => array('name', 'email'))",
     "Copy the text of the data below word for word, but write [MASKED] in place of each name or email. Answer with "
     "that text alone.", (), "text", "STRING"),
    ("llm_summarize_agg", [X, 0], {}, "llm_summarize_agg(texts, 0)", "Summarise all of the texts below together.", (),
     "text", "STRING"),
    ("llm", ["translate", X, Y], {"lang": "French"}, "llm('translate', review, title, lang => 'French')",
     "Translate the text of the data below into French. Answer with the translation alone.", (), "text", "STRING"),
    ("llm", ["classify", X], {"labels": ["a", "b"]}, "llm('classify', review, labels => array('a', 'b'))",
     "Classify the data below as a or b.", ("a", "b"), "text", "STRING"),
    ("llm", ["Who?", X], {"schema": "name STRING"}, "llm('Who?', review, schema => 'name STRING')",
     'Who?\n\nAnswer with one JSON object: {"name": string or null}', (), "columns", "STRUCT<name: STRING>"),
    ("ai_gen", ["Say {x}"], {}, "ai_gen('Say {{x}}')", "Say {{x}}", (), "text", "STRING"),
    ("ai_similarity", [X, Y], {}, "ai_similarity(review, title)",
     "Tell how alike in meaning the two texts of the data below are: from 0, nothing in common, to 1, the same."
     '\n\nAnswer with one JSON object: {"answer": number}', (), "answer", "FLOAT"),
    ("ai_query", ["default", Concat(("Say {x}: ", Y))], {"returnType": "INT", "failOnError": False,
     "modelParameters": {"max_tokens": 5}},
     "ai_query('default', 'Say {{x}}: {title}', returnType => 'INT', max_tokens => 5, on_error => 'struct')",
     'Say {{x}}: {title}\n\nAnswer with one JSON object: {"answer": integer or null}', (), "answer", "INT"),
    ("ai_query", ["org/model", X, "BOOLEAN"], {"failOnError": True},
     "ai_query('org/model', '{review}', returnType => 'BOOLEAN', on_error => 'fail')", "{review}", ("true", "false"),
     "boolean", "BOOLEAN"),
    ("ai_query", ["default", "Who?"], {"responseFormat": "STRUCT<r: STRUCT<name: STRING>>"},
     "ai_query('default', 'Who?', responseFormat => 'STRUCT<r: STRUCT<name: STRING>>')",
     'Who?\n\nAnswer with one JSON object: {"name": string or null}', (), "columns", "STRUCT<name: STRING>"),
    ("ai_query", ["default", "Who?"], {"responseFormat": FORMAT},
     f"ai_query('default', 'Who?', responseFormat => '{FORMAT}')",
     'Who?\n\nAnswer with one JSON object: {"name": string, "ages": [integer, ...] or null (all of them)}', (), "text",
     "STRING"),
    ("ai_analyze_sentiment", [X], {}, "ai_analyze_sentiment(review)",
     "Classify the sentiment of the data below as positive, negative, neutral or mixed.",
     ("positive", "negative", "neutral", "mixed"), "text", "STRING"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "arguments", "options", "shown", "told", "labels", "reading", "kind"), MADE)
def test_a_function_and_its_arguments_make_a_call(
    function: str, arguments: list[Any], options: dict[str, Any], shown: str, told: str, labels: tuple[str, ...],
    reading: str, kind: str,
) -> None:  # fmt: skip
    made = typed_call(function, arguments, options)
    call = made.call
    assert (str(call), call.instruction + call.form) == (shown, told)
    assert (call.choices, made.reading, made.type) == (labels, reading, kind)
    assert LLMCall.from_json(call.to_json()) == call
    assert len(made.columns) == len(call.fields)


def test_the_same_question_is_the_same_to_the_ledger_whoever_asks_it() -> None:
    same: list[list[tuple[str, list[Any], dict[str, Any]]]] = [
        [("llm_classify", [X, ["a", "b"]], {}), ("llm", ["classify", X], {"labels": ["a", "b"]}),
         ("ai_classify", [X, ["a", "b"]], {})],
        [("llm_translate", [X, "French"], {}), ("ai_translate", [X, "French"], {})],
        [("llm_summarize", [X], {}), ("ai_summarize", [X, 50], {})],
        [("llm_gen", ["Say hello to {title}"], {}), ("llm_gen", [Concat(("Say hello to ", Y))], {})],
    ]  # fmt: skip
    for calls in same:
        assert len({question(typed_call(*one).call, "f", Sampling()) for one in calls}) == 1


def test_only_a_prompt_of_ones_own_takes_a_text_that_was_cut() -> None:
    asked: list[tuple[str, list[Any]]] = [
        ("llm", ["Say it.", X]),
        ("llm", ["summarize", X]),
        ("llm_gen", ["Say it."]),
        ("llm_filter", ["Is it?"]),
    ]
    assert [typed_call(*one).call.whole for one in asked] == [False, True, True, False]


def test_an_argument_is_no_place_of_a_field() -> None:
    call = typed_call("llm_translate", [X, "{review}"]).call
    assert call.instruction.startswith("Translate the text of the data below into {{review}}.")


def test_a_prompt_of_columns_needs_them_all_and_names_each_once() -> None:
    odd = Column("a title", "e1")
    made = typed_call("llm_gen", [Concat((odd, " or ", Y, " or ", odd)), X])
    assert made.call.prompt == "{col1} or {title} or {col1}"
    assert [(c.name, c.source) for c in made.columns] == [("col1", "e1"), ("title", None), ("review", None)]
    assert made.needed == made.columns[:2]
    assert typed_call("llm_gen", [X]).call.prompt == "{review}"


WRONG = [
    ("llm_clasify", [X], {}, "did you mean 'llm_classify'"),
    ("llm_classify", [], {}, r"expects llm_classify\(x, labels\), got 0"),
    ("llm_classify", [X, ["a"]], {}, "at least 2 different"),
    ("llm_classify", [X, ["a", "a"]], {}, "one twice"),
    ("llm_classify", [X, Y], {}, "constant array"),
    ("llm_classify", [X, ["a", "b"], 5], {}, "1 arguments too many"),
    ("llm_classify", [X, ["a", "b"]], {"labels": ["a", "b"]}, "'labels' twice"),
    ("llm_translate", [X], {}, "expects lang, got none"),
    ("llm_translate", [X, 5], {}, "lang to be a constant STRING, got 5"),
    ("llm_summarize", [X, -1], {}, "max_words to be a constant INT"),
    ("llm_extract", [X, "name STRNG"], {}, "STRNG"),
    ("llm_gen", [], {}, "a prompt first"),
    ("llm_gen", [5], {}, "its prompt to be a constant STRING"),
    ("llm_gen", ["a b"], {"on_eror": "null"}, "did you mean 'on_error'"),
    ("llm_gen", ["a b"], {"on_error": "nul"}, "did you mean 'null'"),
    ("llm_gen", ["a b"], {"max_tokens": 0}, "max_tokens to be a constant INT of 1 or more"),
    ("llm_gen", ["a b"], {"selectivity": 2}, "at most 1"),
    ("llm_gen", ["a b"], {"order": "row"}, "did you mean 'rows'"),
    ("llm", ["sumarize", X], {}, "did you mean 'summarize'"),
    ("llm", ["gen", X], {}, r"write llm_gen\('...'"),
    ("ai_query", ["default"], {}, "expects request"),
    ("ai_query", ["default", "Who?"], {"modelParameters": {"temperature": 0.5}}, "spark.sparkllm.temperature"),
    ("ai_query", ["default", "Who?"], {"failOnError": "no"}, "true or false"),
    ("ai_query", ["default", "Who?"], {"returnType": "MAP<STRING, INT>"}, "MAP"),
    ("ai_query", ["default", "Who?"], {"returnType": "INT", "responseFormat": "STRUCT<a: INT>"}, "got both"),
    ("ai_query", ["default", "Who?"], {"responseFormat": '{"type": "json_object"}'}, "type json_schema"),
    (
        "ai_query",
        ["default", "Who?"],
        {"responseFormat": FORMAT.replace('"string"}', '"string", "enum": ["a"]}')},
        "'schema.name'.*enum",
    ),
    ("ai_query", ["default", "Who?"], {"returnTyp": "INT"}, "no argument"),
    ("ai_classify", [X], {}, "expects labels, got none"),
]


@pytest.mark.parametrize(("function", "arguments", "options", "says"), WRONG)
def test_a_wrong_call_says_what_is_wrong(
    function: str, arguments: list[Any], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(CallError, match=says):
        typed_call(function, arguments, options)


def test_a_task_of_ones_own_travels_as_its_prompt() -> None:
    define("mood_of", "How does the writer of {title} feel?", ["happy", "sad"])
    made = typed_call("llm_mood_of", [X])
    assert (str(made.call), made.call.instruction) == ("llm_mood_of(review, title)", own_tasks()["mood_of"].prompt)
    assert (made.call.choices, made.implied, made.type) == (("happy", "sad"), 1, "STRING")
    assert str(typed_call("llm", ["mood_of", X]).call) == "llm('mood_of', review, title)"
    define("stars_of", "How many stars?", "INT")
    made = typed_call("llm_stars_of", [X], {"on_error": "fail"})
    assert (made.reading, made.type, made.call.on_error) == ("answer", "INT", "fail")
    assert define("mood_of", "How does the writer of {title} feel?", ["happy", "sad"]) == own_tasks()["mood_of"]


@pytest.mark.parametrize(
    ("name", "prompt", "output", "says"),
    [
        ("Mood", "What?", "STRING", "small letters"),
        ("classify", "What?", "STRING", "belongs to sparkllm"),
        ("agg", "What?", "STRING", "belongs to sparkllm"),
        ("ai_mood", "What?", "STRING", "belongs to sparkllm"),
        ("mood_twice", " ", "STRING", "says what to do"),
        ("mood_twice", "What?", "STRNG", "got 'STRNG'"),
        ("mood_twice", "What?", ["a"], "two or more"),
        ("mood_twice", "What?", ["a", "a"], "two or more"),
        ("mood_twice", "What?", 5, "two or more"),
        ("stars_twice", "How many?", "INT", "another prompt or output"),
    ],
)
def test_a_task_that_cannot_be_says_why(name: str, prompt: str, output: Any, says: str) -> None:
    define("stars_twice", "How many stars?", "INT")
    before = own_tasks()
    with pytest.raises(CallError, match=says):
        define(name, prompt, output)
    assert own_tasks() == before


def test_the_table_holds_what_its_readers_know() -> None:
    for task in tasks().values():
        assert task.first in FIRST
        assert {a.type for a in task.arguments} <= {"STRING", "INT", "LABELS", "NAMES", "SCHEMA"}
        assert "{" not in task.instruct({"lang": "x", "to_lang": "x"}, "below", "x")


@pytest.mark.parametrize(
    ("text", "json_text"),
    [
        ("a STRING NOT NULL COMMENT 'it\\'s'",
         '{"name":"a","type":"string","nullable":false,"metadata":{"comment":"it\'s"}}'),
        ("`a b`: decimal(5, 2)", '{"name":"a b","type":"decimal(5,2)","nullable":true,"metadata":{}}'),
        ("a DECIMAL", '{"name":"a","type":"decimal(10,0)","nullable":true,"metadata":{}}'),
        ("a ARRAY<STRUCT<b: INT>>",
         '{"name":"a","type":{"type":"array","elementType":{"type":"struct","fields":[{"name":"b","type":"integer",'
         '"nullable":true,"metadata":{}}]},"containsNull":true},"nullable":true,"metadata":{}}'),
    ],
)  # fmt: skip
def test_columns_are_read_as_spark_reads_them(text: str, json_text: str) -> None:
    assert parse_ddl(text) == parse_ddl(f"STRUCT<{text}>") == f'{{"type":"struct","fields":[{json_text}]}}'


@pytest.mark.parametrize(
    "text", ["", "a", "a MAP<STRING, INT>", "a INT, A INT", "a INT b", "ARRAY<INT>", "a VARCHAR(5)"]
)
def test_columns_that_no_answer_has_are_refused(text: str) -> None:
    with pytest.raises(CallError, match="schema"):
        parse_ddl(text)


def test_a_type_alone_is_a_column_called_answer() -> None:
    texts = ("INT", "ARRAY<DATE>", "date DATE", "a INT, b INT", "STRUCT<a: INT>")
    assert [answer_schema(text)[1] for text in texts] == [True, True, False, False, False]


def test_summaries_of_parts_without_a_number_of_words_are_told_none() -> None:
    call = typed_call("llm_summarize_agg", [X, 0]).call
    assert "words" not in replace(call, combining=True).instruction
    assert "at most 100 words" in replace(typed_call("llm_summarize_agg", [X]).call, combining=True).instruction
