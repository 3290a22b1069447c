"""Answers of a random model, held to schemas: never anything else."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest

from tests.local.language_model import NO_LLM

for name in ("torch", "gguf", "tokenizers", "llguidance"):
    pytest.importorskip(name, reason=NO_LLM)

import jsonschema

from babyai_kit.environment import ACTIONS, TASKS, make_env
from babyai_kit.local.language_model.constraints import Constraint, Constraints, SchemaError
from babyai_kit.local.language_model.generation import Generation
from babyai_kit.local.language_model.generator import Generator
from babyai_kit.local.language_model.library import Library
from tests.support.generations import answered, generation
from tests.support.messages import RULES, user_text


def fields(**properties: Any) -> dict[str, Any]:
    """The schema of an object with exactly these."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


TEXT, ACTION = {"type": "string"}, {"type": "string", "enum": list(ACTIONS)}
SCHEMAS: dict[str, dict[str, Any]] = {
    "act": fields(action=ACTION),
    "act with thinking": fields(thinking=TEXT, action=ACTION),
    "nested": fields(plan=fields(steps={"type": "array", "items": fields(action=ACTION), "maxItems": 3})),
    "numbers": fields(count={"type": "integer"}, share={"type": "number"}, sure={"type": "boolean"}),
    "range": fields(count={"type": "integer", "minimum": -3, "maximum": 12}),
    "union": {"anyOf": [fields(action=ACTION), fields(reason=TEXT), {"type": "null"}]},
    "several types": fields(value={"type": ["string", "null", "integer"]}),
    "definitions": {
        "$defs": {"node": fields(name=TEXT, next={"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]})},
        "$ref": "#/$defs/node",
    },
    "any object": {"type": "object"},
    "umlauts": fields(größe={"enum": ["klein", "groß", "🙂", 'with "quotes"\n']}),
    "list": {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 2},
    "constant": {"const": {"a": [1, 2.5, None]}},
    "pattern": fields(code={"type": "string", "pattern": "^[A-Z]{2}-[0-9]{1,3}$"}),
}
UNBOUNDED = {*SCHEMAS} - {"act", "range", "umlauts", "constant", "pattern"}
AWKWARD = [
    "", " ", "\n\n", "{", '{"action": "fly"}', "Answer in plain text, not in JSON.", "<|im_end|>", "\x00\x07",
    "🙂" * 20, "{}[]\"\\,:" * 10, "ß 123 " * 30, "Say: I can't answer that.",
]  # fmt: skip


@pytest.fixture(scope="module")
def generator(tiny: Library) -> Generator:
    return Generator(tiny.open(None))


@pytest.fixture(scope="module")
def constraints(tiny: Library) -> Constraints:
    return Constraints(tiny.tokenizer)


def prompts(tiny: Library, count: int) -> list[list[int]]:
    texts = itertools.cycle(AWKWARD)
    rng = random.Random(1)
    return [
        tiny.tokenizer.encode_chat([("user", next(texts) + " " * rng.randrange(9))]) for _ in range(count)
    ]


def check(one: Generation, schema: dict[str, Any], tiny: Library) -> bool:
    """Whether the answer is whole; it is then one of the schema."""
    text = tiny.tokenizer.decode(one.answer)
    assert one.error is None
    if one.truncated:
        assert len(one.answer) == one.max_tokens
        return False
    jsonschema.validate(json.loads(text), schema)
    return True


@pytest.mark.parametrize("name", SCHEMAS)
def test_answers_are_valid(tiny: Library, generator: Generator, constraints: Constraints, name: str):
    schema, whole = SCHEMAS[name], 0
    generations = [
        generation(
            prompt,
            seed=number,
            max_tokens=30,
            temperature=(0.0, 1.0, 2.0)[number % 3],
            top_p=(1.0, 0.5)[number % 2],
            constraint=constraints.of_schema(schema),
            top_logprobs=0 if number % 5 == 0 else None,
        )
        for number, prompt in enumerate(prompts(tiny, 20))
    ]
    for one in answered(generator, generations):
        whole += check(one, schema, tiny)
        if one.top_logprobs is not None:
            assert [score.token for score in one.scores] == one.answer
    # A random model seldom ends a text that it may go on with.
    assert whole == len(generations) or name in UNBOUNDED


def acting(library: Library, number: int, prompt: list[int], constraints: Constraints) -> Generation:
    return generation(
        prompt,
        seed=number,
        max_tokens=40,
        temperature=(0.0, 1.0, 1.5)[number % 3],
        constraint=constraints.of_schema(SCHEMAS["act"]),
        ends=library.tokenizer.ends,
    )


@pytest.mark.e2e
def test_500_answers_of_the_pretrained_model_are_actions_and_those_it_gives_alone(served: Library):
    """About things in view, one at a time; in batches, and some of the questions again by themselves."""
    constraints = Constraints(served.tokenizer)
    questions: set[str] = set()
    for seed in itertools.count():
        observation, _ = make_env(TASKS[seed % len(TASKS)]).reset(seed=seed)
        questions |= {f"{observation['mission']}\n{thing}" for thing in observation["text"].splitlines()}
        if len(questions) >= 500:
            break
    chats = [[("system", RULES), ("user", question)] for question in sorted(questions)[:500]]
    # Those about one mission in several batches, so that all but one find it cached.
    prompts = [served.tokenizer.encode_chat(chat) for start in range(20) for chat in chats[start::20]]
    generator, ended = Generator(served.open(None)), []
    for start in range(0, 500, 25):
        numbered = enumerate(prompts[start : start + 25], start)
        ended += answered(generator, [acting(served, n, prompt, constraints) for n, prompt in numbered])
    assert all(check(one, SCHEMAS["act"], served) for one in ended)
    assert len({tuple(one.prompt) for one in ended}) == 500
    assert len({tuple(one.answer) for one in ended}) > 3

    generator = Generator(served.open(None))
    numbers = range(1, 500, 15)  # at temperature 1
    alone = [answered(generator, [acting(served, n, prompts[n], constraints)])[0].answer for n in numbers]
    # In half precision sums depend on what else is computed, which may turn a draw; here it turned none.
    others = sum(ended[n].answer != answer for n, answer in zip(numbers, alone, strict=True))
    assert others <= len(alone) // 10


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_500_longer_answers_of_the_pretrained_model_are_valid(served: Library):
    """To whole observations with some history, a fifth of them with thinking."""
    rng, constraints = random.Random(7), Constraints(served.tokenizer)
    generations: list[Generation] = []
    schemas: list[dict[str, Any]] = []
    for number in range(500):
        env = make_env(TASKS[number % len(TASKS)])
        observation, _ = env.reset(seed=number)
        history = []
        for _ in range(rng.randrange(3)):
            action = rng.choice(ACTIONS)
            history.append((observation["text"], action))
            observation, *_ = env.step(ACTIONS.index(action))
        question = user_text(observation["mission"], observation["text"], history)
        chat = [("system", RULES), ("user", question + rng.choice(AWKWARD))]
        schemas.append(SCHEMAS["act with thinking" if number % 5 == 0 else "act"])
        generations.append(
            generation(
                served.tokenizer.encode_chat(chat),
                seed=number,
                max_tokens=40,
                temperature=(0.0, 0.7, 1.5)[number % 3],
                constraint=constraints.of_schema(schemas[-1]),
                ends=served.tokenizer.ends,
            )
        )
    generator = Generator(served.open(None))
    ended = [
        one for start in range(0, 500, 20) for one in answered(generator, generations[start : start + 20])
    ]
    whole = [check(one, schema, served) for one, schema in zip(ended, schemas, strict=True)]
    assert all(w for w, schema in zip(whole, schemas, strict=True) if schema is SCHEMAS["act"])
    assert len({tuple(one.prompt) for one in ended}) == 500


def test_what_leaves_no_choice_costs_no_pass(tiny: Library, constraints: Constraints):
    model, passes = tiny.open(None), []
    model.register_forward_hook(lambda *_: passes.append(1))
    generator = Generator(model)
    (one,) = answered(generator, [generation([5], constraint=constraints.of_schema({"const": "abc"}))])
    assert (tiny.tokenizer.decode(one.answer), one.truncated, passes) == ('"abc"', False, [])
    (one,) = answered(generator, [generation([5], constraint=constraints.of_schema(SCHEMAS["act"]))])
    assert len(passes) < len(one.answer)


def test_the_spelling_is_that_of_json_dumps(tiny: Library, generator: Generator, constraints: Constraints):
    schema = fields(a={"enum": [[1, 2]]}, b={"enum": ["x"]})
    (one,) = answered(generator, [generation([5], max_tokens=40, constraint=constraints.of_schema(schema))])
    assert tiny.tokenizer.decode(one.answer) == json.dumps({"a": [1, 2], "b": "x"})


@pytest.mark.parametrize("limit", range(1, 12))
def test_a_limit_within_what_must_follow_truncates(
    tiny: Library, generator: Generator, constraints: Constraints, limit: int
):
    constraint = constraints.of_schema(SCHEMAS["act"])
    (one,) = answered(generator, [generation([5], max_tokens=limit, constraint=constraint)])
    whole = check(one, SCHEMAS["act"], tiny)
    assert one.truncated is not whole
    assert len(one.answer) <= limit


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"enum": []},
        {"$ref": "#/nowhere"},
        {"type": "string", "pattern": "(?=x)"},
        {"type": "string", "minLength": 3, "maxLength": 2},
    ],
)
def test_a_schema_that_cannot_be_kept_is_refused(constraints: Constraints, schema: dict[str, Any]):
    with pytest.raises(SchemaError) as raised:
        constraints.of_schema(schema)
    assert "\n" not in str(raised.value)
    assert constraints.of_schema(SCHEMAS["act"]).forced()  # and harms no other


class Failing(Constraint):
    """llguidance gives up on some schemas on the way."""

    def forced(self) -> list[int]:
        return []

    def take(self, tokens: Any) -> None:
        super().take([0] if tokens else ())


def test_a_constraint_that_fails_on_the_way_ends_its_answer_alone(
    tiny: Library, generator: Generator, constraints: Constraints
):
    failing = Failing(constraints.of_schema(SCHEMAS["act"])._matcher)
    broken, good = generation([5, 6], constraint=failing), generation([5, 6])
    answered(generator, [broken, good])
    assert isinstance(broken.error, SchemaError)
    assert (good.error, len(good.answer)) == (None, 12)
