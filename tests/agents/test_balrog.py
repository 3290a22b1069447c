"""Agents written for BALROG: what they are given, what counts of their answers, and their threads."""

from __future__ import annotations

import asyncio
import gc
import random
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from babyai_kit.agents import Episode, Message, Observation, Past, Reply, find_agent
from babyai_kit.agents.balrog import as_messages, balrog_agent
from babyai_kit.agents.balrog_convention import balrog_folder
from babyai_kit.agents.balrog_stand_ins.history import HistoryPromptBuilder
from babyai_kit.environment import ACTIONS
from babyai_kit.environment.balrog_compat import instruction_prompt
from babyai_kit.errors import InputError, ModelError

PLANNER = Path(__file__).resolve().parents[1] / "support" / "balrog_planner.py"
FORWARD = "go forward"

without_balrog = pytest.mark.skipif(balrog_folder() is not None, reason="BALROG's own package is importable")
with_balrog = pytest.mark.skipif(balrog_folder() is None, reason="BALROG's own package is not importable")


class Model:
    """Answers what an agent asks, in order, and keeps what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = deque(answers)
        self.asked: list[tuple[Message, ...]] = []

    async def __call__(self, messages: Any = None, **_: Any) -> Reply:
        self.asked.append(messages)
        await asyncio.sleep(0)
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return Reply(answer, None, "stop", 7, None)


def episode(model: Any, *, seed: int = 3) -> Episode:
    return Episode(model, "go to the red ball", "goto", seed, 0, 0, 64, 16, "theirs", model="a-model")


def observation(step: int, past: Past | None = None, *, picture: Any = None) -> Observation:
    draw = picture or (lambda: np.full((112, 112, 3), step, np.uint8))
    return Observation(f"text {step}", "go to the red ball", step, past, draw)


async def play(made: Any, model: Model, steps: int, **settings: Any) -> list[Any]:
    agent = find_agent(partial(balrog_agent(made), **settings)).make(episode(model))
    moves: list[Any] = []
    for step in range(steps):
        past = None
        if moves:
            valid = moves[-1].action in ACTIONS
            past = Past(moves[-1].action if valid else FORWARD, valid, moves[-1].action)
        moves.append(await agent.act(observation(step, past)))
    return moves


@pytest.fixture
def base() -> Any:
    from babyai_kit.agents.balrog_convention import present_convention
    from babyai_kit.agents.balrog_stand_ins.base import BaseAgent

    if balrog_folder() is None:
        return BaseAgent
    assert present_convention()
    from balrog.agents.base import BaseAgent as own

    return own


@pytest.fixture
def echo(base: Any) -> Any:
    class Echo(base):  # type: ignore[misc]
        """Asks with what it remembers and acts by the answer as it comes."""

        given: list[Any] = []  # noqa: RUF012

        def act(self, obs: Any, prev_action: Any = None) -> Any:
            self.given.append(prev_action)
            if prev_action:
                self.prompt_builder.update_action(prev_action)
            self.prompt_builder.update_observation(obs)
            return self.client.generate(self.prompt_builder.get_prompt())

    return Echo


def texts(messages: Any) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in messages]


async def test_the_answer_is_handed_on_and_an_invalid_one_is_told_of(echo: Any) -> None:
    model = Model("turn left", "Turn left", "toggle\n", "", "no")
    moves = await play(echo, model, 6)
    assert [move.action for move in moves] == ["turn left", "Turn left", "toggle", "", "no", "no"]
    assert echo.given == [None, "turn left", "Turn left", "toggle", "", "no"]
    first, second = texts(model.asked[0]), texts(model.asked[2])
    assert first[0][0] == "user"
    assert "go to the red ball" in first[0][1]
    assert first[1:] == [("user", "Current Observation:\ntext 0")]
    assert second[1:5] == [
        ("user", "Observation:\ntext 0"),
        ("assistant", "turn left"),
        ("user", "Observation:\ntext 1"),
        ("assistant", "Turn left"),
    ]
    notice = second[5][1]
    assert notice.startswith("Current Observation:\n\n\n")
    assert notice.endswith("\n\nObservation:\ntext 2")
    assert "'go forward'" in notice
    assert [("'go forward'" in texts(asked)[-1][1]) for asked in model.asked] == [
        False, False, True, False, True, True
    ]  # fmt: skip
    assert texts(model.asked[4])[-2][0] == "user"  # an empty answer is no action that one remembers


async def test_its_settings_are_those_of_balrog_unless_others_are_given(echo: Any) -> None:
    model = Model("turn right")
    await play(echo, model, 40)
    # The instruction, and as many observations and actions: 16 of each.
    assert len(model.asked[-1]) == 1 + 32
    assert [len(asked) for asked in model.asked[:3]] == [2, 4, 6]
    assert not any(message.images for asked in model.asked for message in asked)
    changed = Model("what?")
    await play(echo, changed, 6, max_text_history=2, max_image_history=3, feedback_on_invalid_action=False)
    assert [content for role, content in texts(changed.asked[-1]) if role == "user"][1:] == [
        "Observation:\nImage observation provided.",
        "Observation:\ntext 4\nImage observation provided.",
        "Current Observation:\ntext 5\nImage observation provided.",
    ]
    shown = [message.images[0][0, 0, 0] for message in changed.asked[-1] if message.images]
    assert shown == [3, 4, 5]
    for made in (
        partial(balrog_agent(echo), max_history=3),
        partial(balrog_agent(echo), max_text_history="x"),
    ):
        with pytest.raises(InputError, match=r"did you mean 'max_\w*history'|must be a whole number"):
            find_agent(made)


async def test_what_counts_is_the_completion_that_the_agent_returns() -> None:
    completions = deque(["pick up", None, 3, "drop"])

    class Bare:
        """An object with the convention and no base class."""

        def __init__(self, client_factory: Any, prompt_builder: Any, config: Any) -> None:
            self.client, self.prompt_builder = client_factory(), prompt_builder
            self.given: list[Any] = []
            assert config.agent.remember_cot is config["agent"].get("remember_cot") is True
            assert (config.agent.max_text_history, config.client.model_id) == (16, "a-model")
            assert not hasattr(config.agent, "anything")

        def reset(self) -> None:
            self.begun = True

        def act(self, obs: Any, prev_action: Any = None) -> Any:
            assert self.begun
            assert obs["mission"] == "go to the red ball"
            assert obs["text"]["short_term_context"] == ""
            self.given.append(prev_action)
            responses = [self.client.generate([SimpleNamespace(role="user", content=" a ")]) for _ in "ab"]
            assert {(r.model_id, r.completion, r.stop_reason, r.reasoning) for r in responses} == {
                ("a-model", "b", "stop", None)
            }
            assert sum(r.input_tokens + r.output_tokens for r in responses) == 14
            done = completions.popleft()
            return SimpleNamespace(completion=done, reasoning=f"given {self.given}")

    model = Model(" b\n")
    moves = await play(Bare, model, 4)
    assert [move.action for move in moves] == ["pick up", "", "", "drop"]
    assert moves[-1].thinking == "given [None, 'pick up', None, 3]"
    assert len(model.asked) == 8


def test_messages_become_the_kit_s() -> None:
    image = Image.new("RGBA", (4, 3), (9, 8, 7, 255))
    given = [
        SimpleNamespace(role="system", content="a", attachment=None),
        SimpleNamespace(role="user", content="b", attachment=image),
        SimpleNamespace(role="system", content="c", attachment=np.zeros((2, 2, 3), np.uint8)),
        SimpleNamespace(role="assistant", content="d"),
    ]
    system, first, later, last = as_messages(given)
    assert [(m.role, m.content) for m in (system, first, later, last)] == [
        ("system", "a"), ("user", "b"), ("user", "c"), ("assistant", "d")
    ]  # fmt: skip
    assert first.images[0].shape == (3, 4, 3)
    assert first.images[0][0, 0].tolist() == [9, 8, 7]
    assert later.images[0].shape == (2, 2, 3)
    for wrong in (
        [],
        [SimpleNamespace(role="tool", content="a")],
        [SimpleNamespace(role="user", content=None)],
    ):
        with pytest.raises(ValueError, match="message"):
            as_messages(wrong)


async def test_a_picture_is_drawn_only_for_those_who_look(echo: Any) -> None:
    def fail() -> Any:
        raise AssertionError("drawn")

    agent = find_agent(balrog_agent(echo)).make(episode(Model("drop")))
    if balrog_folder() is None:
        await agent.act(observation(0, picture=fail))

    class Looks(echo):  # type: ignore[misc]
        def act(self, obs: Any, prev_action: Any = None) -> Any:
            return super().act(obs, prev_action)._replace(reasoning=str(obs["image"].size))

    looking = find_agent(balrog_agent(Looks)).make(episode(Model("drop")))
    assert (await looking.act(observation(0))).thinking == "(112, 112)"


@pytest.mark.parametrize("reason", [ModelError("away"), RuntimeError("no new call may start")])
async def test_a_failure_of_the_model_goes_through_the_agent_and_ends_the_step(
    base: Any, reason: Exception
) -> None:
    seen: list[BaseException] = []
    done = threading.Event()

    class Stubborn(base):  # type: ignore[misc]
        def act(self, obs: Any, prev_action: Any = None) -> Any:
            try:
                while True:
                    try:
                        return self.client.generate([SimpleNamespace(role="user", content="x")])
                    except Exception as error:  # noqa: PERF203
                        seen.append(error)
            finally:
                done.set()

    with pytest.raises(type(reason), match=str(reason)):
        await play(Stubborn, Model(reason), 1)
    assert await asyncio.to_thread(done.wait, 30)
    # What is no failure of the model, such as a spent budget, is not for the agent to see.
    assert seen == ([reason] if isinstance(reason, ModelError) else [])


async def test_what_an_agent_raises_names_its_line_and_ends_no_process(base: Any) -> None:
    class Broken(base):  # type: ignore[misc]
        error: Any = None

        def act(self, obs: Any, prev_action: Any = None) -> Any:
            raise self.error

    for error, kind in [
        (ZeroDivisionError("x"), ZeroDivisionError),
        (SystemExit(3), RuntimeError),
        (KeyboardInterrupt(), RuntimeError),
        (StopIteration(), RuntimeError),
    ]:
        Broken.error = error
        with pytest.raises(kind) as caught:
            await play(Broken, Model("drop"), 1)
        last = caught.value.__traceback__
        while last and last.tb_next:
            last = last.tb_next
        assert last is not None
        assert last.tb_frame.f_code.co_name == "act"


@pytest.mark.parametrize("busy", ["asking", "computing"])
async def test_a_cancelled_step_waits_for_nothing_and_its_agent_ends(base: Any, busy: str) -> None:
    begun, go_on, ended = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Hangs(base):  # type: ignore[misc]
        def act(self, obs: Any, prev_action: Any = None) -> Any:
            try:
                if busy == "computing":
                    loop.call_soon_threadsafe(begun.set)
                    go_on.wait()
                while True:
                    try:
                        self.client.generate([SimpleNamespace(role="user", content="x")])
                    except Exception:  # noqa: PERF203
                        continue
            finally:
                ended.set()

    cancelled = []

    async def never(messages: Any) -> Any:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    agent = find_agent(balrog_agent(Hangs)).make(episode(never))
    step = asyncio.create_task(agent.act(observation(0)))
    await begun.wait()
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert cancelled == ([True] if busy == "asking" else [])
    go_on.set()
    assert await asyncio.to_thread(ended.wait, 30)


async def test_a_hundred_agents_wait_for_the_model_at_once_each_in_a_thread_of_its_own(base: Any) -> None:
    all_there = asyncio.Event()
    waiting: set[str] = set()
    threads: dict[int, set[str]] = {}

    class Waits(base):  # type: ignore[misc]
        def __init__(self, client_factory: Any, prompt_builder: Any) -> None:
            super().__init__(client_factory, prompt_builder)
            self.thread = threading.current_thread().name

        def act(self, obs: Any, prev_action: Any = None) -> Any:
            assert threading.current_thread().name == self.thread
            threads.setdefault(id(self), set()).add(str(threading.get_ident()))
            return self.client.generate([SimpleNamespace(role="user", content=str(id(self)))])

    async def model(messages: Any) -> Reply:
        waiting.add(messages[0].content)
        if len(waiting) == 100:
            all_there.set()
        await all_there.wait()
        return Reply("turn left")

    make = find_agent(balrog_agent(Waits, name="waits")).make
    agents = [make(episode(model)) for _ in range(100)]
    for step in range(2):
        moves = await asyncio.gather(*(agent.act(observation(step)) for agent in agents))
        assert {move.action for move in moves} == {"turn left"}
    assert len(threads) == 100
    assert all(len(own) == 1 for own in threads.values())
    del agents, moves
    gc.collect()
    deadline = time.monotonic() + 200
    while any(thread.name == "waits" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "their threads end with the episodes"
        await asyncio.sleep(0.01)


class Reference:
    """The builder of prompts from the convention's description, step by step and without care for speed."""

    def __init__(self, texts: int, images: int, thoughts: int) -> None:
        self.texts, self.images, self.thoughts = texts, images, thoughts
        self.events: list[dict[str, Any]] = []
        self.instruction, self.reasoning, self.short = None, None, ""

    def prompt(self, icl: bool) -> list[tuple[str, str, Any]]:
        events = self.events[len(self.events) - min(len(self.events), 2 * max(self.texts, self.images)) :]
        shown = [("user", self.instruction, None)] if self.instruction and not icl else []
        for place, event in enumerate(events):
            newer = events[place + 1 :]
            if event["kind"] == "action":
                thinking = sum(e["kind"] == "action" and e["reasoning"] is not None for e in newer)
                thinks = event["reasoning"] is not None and thinking < self.thoughts
                text = "Previous plan:\n" + event["reasoning"] if thinks else event["action"]
                shown.append(("assistant", text, None))
                continue
            seen = [e for e in newer if e["kind"] == "observation"]
            last = not newer
            text = "Current Observation:" if last else "Observation:"
            if last and self.short:
                text += "\n" + self.short
            if len(seen) < self.texts:
                text += "\n" + event["text"]
            pictures = sum(e["image"] is not None for e in seen)
            image = event["image"] if event["image"] is not None and pictures < self.images else None
            shown.append(("user", text + ("\nImage observation provided." if image else ""), image))
        return shown


def updates(chance: random.Random, count: int) -> Iterator[tuple[str, Any]]:
    for number in range(count):
        kind = chance.choices(
            ["observation", "action", "reasoning", "instruction", "reset"], [9, 9, 3, 1, 0.3]
        )
        image = chance.choice([None, f"image {number}"])
        short = chance.choice(["", "", f"now {number}"])
        text = {"long_term_context": f"text {number}", "short_term_context": short}
        yield {
            "observation": ("update_observation", {"text": text, "image": image}),
            "action": ("update_action", f"action {number}"),
            "reasoning": ("update_reasoning", f"thought {number}"),
            "instruction": ("update_instruction_prompt", f"instruction {number}"),
            "reset": ("reset", None),
        }[kind[0]]


def told(builder: Any, icl: bool) -> list[tuple[str, str, Any]]:
    return [(m.role, m.content, m.attachment) for m in builder.get_prompt(icl_episodes=icl)]


def settings(chance: random.Random) -> tuple[int, int, int]:
    return chance.randrange(5), chance.randrange(4), chance.randrange(4)


@pytest.mark.parametrize("seed", range(20))
def test_the_builder_of_prompts_does_what_the_convention_says(seed: int) -> None:
    chance = random.Random(seed)
    texts, images, thoughts = settings(chance)
    builder = HistoryPromptBuilder(texts, images, max_cot_history=thoughts)
    reference = Reference(texts, images, thoughts)
    for call, given in updates(chance, 60):
        getattr(builder, call)(*([] if given is None else [given]))
        if call == "update_observation":
            reference.short = given["text"]["short_term_context"]
            text, image = given["text"]["long_term_context"], given["image"]
            reference.events.append({"kind": "observation", "text": text, "image": image})
        elif call == "update_action":
            reference.events.append({"kind": "action", "action": given, "reasoning": reference.reasoning})
        elif call == "update_reasoning":
            reference.reasoning = given
        elif call == "update_instruction_prompt":
            reference.instruction = given
        else:
            reference.events.clear()
        if chance.random() < 0.5:
            icl = chance.random() < 0.2
            assert told(builder, icl) == reference.prompt(icl)


@with_balrog
def test_the_builder_of_prompts_is_balrog_s() -> None:
    from balrog.prompt_builder.history import HistoryPromptBuilder as Own

    for seed in range(300):
        chance = random.Random(seed)
        texts, images, thoughts = settings(chance)
        builders = [
            builder(texts, images, max_cot_history=thoughts) for builder in (HistoryPromptBuilder, Own)
        ]
        for call, given in updates(chance, 80):
            for builder in builders:
                getattr(builder, call)(*([] if given is None else [given]))
            if chance.random() < 0.5:
                ours, own = (told(builder, False) for builder in builders)
                assert ours == own, seed
                ours, own = (told(builder, True) for builder in builders)
                assert ours == own, seed


def test_messages_are_new_each_time_so_that_an_agent_may_change_them() -> None:
    builder = HistoryPromptBuilder()
    builder.update_observation({"text": {"long_term_context": "a", "short_term_context": ""}, "image": None})
    builder.get_prompt()[-1].content += " and how to answer"
    assert builder.get_prompt()[-1].content == "Current Observation:\na"


@without_balrog
async def test_a_file_finds_the_stand_ins_and_nothing_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(shutil.copy(PLANNER, tmp_path / "custom.py"))
    other = ModuleType("balrog")
    for loaded in (None, other):
        if loaded:
            monkeypatch.setitem(sys.modules, "balrog", loaded)
        before = {name: module for name, module in sys.modules.items() if name.startswith("balrog")}
        spec = find_agent(f"balrog:{file}")
        assert spec.name == f"balrog:{file}"
        model = Model("PLAN: look around\nACTION: turn left", "KEEP", "look again")
        move = await spec.make(episode(model)).act(observation(0))
        assert (move.action, move.thinking) == ("turn left", "look around")
        after = {name: module for name, module in sys.modules.items() if name.startswith("balrog")}
        assert after == before
    monkeypatch.delitem(sys.modules, "balrog")
    with pytest.raises(ImportError):
        __import__("balrog.agents.base")


@without_balrog
def test_another_package_called_balrog_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site" / "balrog"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("VALUE = 'roles and permissions'\n")
    (folder / "policy.py").write_text("from balrog import VALUE\n")
    monkeypatch.syspath_prepend(str(folder.parent))
    file = Path(shutil.copy(PLANNER, tmp_path / "custom.py"))
    try:
        assert find_agent(f"balrog:{file}").make is not None
        with pytest.raises(InputError, match="PyPI's balrog is another project"):
            find_agent("balrog:naive")
        assert not {name for name in sys.modules if name.startswith("balrog")}
        assert __import__("balrog.policy").policy.VALUE == "roles and permissions"
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "balrog"]:
            del sys.modules[name]


@without_balrog
@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("from balrog.agents.naive import NaiveAgent", r"No module named 'balrog.agents.naive' without"),
        ("from balrog.client import create_llm_client", "cannot import name 'create_llm_client'"),
        ("import balrog.agents.base", "defines no agent"),
        (
            "class A:\n  def act(self): ...\nclass B(A): ...",
            "defines A, B; name one, as in balrog:.*py:CLASS",
        ),
    ],
)
def test_files_that_are_no_agents_are_refused(tmp_path: Path, code: str, says: str) -> None:
    (tmp_path / "custom.py").write_text(code + "\n")
    with pytest.raises(InputError, match=says):
        find_agent(f"balrog:{tmp_path / 'custom.py'}")


@without_balrog
def test_places_that_are_no_agents_are_refused(tmp_path: Path) -> None:
    file = Path(shutil.copy(PLANNER, tmp_path / "custom.py"))
    for place, says in [
        ("balrog:no/such.py", "there is no file no/such.py"),
        (f"balrog:{file}:Plan", "did you mean 'Planner'"),
        ("balrog:naive", "put BALROG's repository on PYTHONPATH"),
        ("balrog:", "PYTHONPATH"),
        (str(file), f"name it balrog:{file}"),
    ]:
        with pytest.raises(InputError, match=says):
            find_agent(place)


def test_another_instruction_or_file_or_setting_is_another_digest(tmp_path: Path, echo: Any) -> None:
    made = balrog_agent(echo)
    specs = [
        find_agent(made),
        find_agent(partial(made, max_text_history=8)),
        find_agent(partial(made, feedback_on_invalid_action=False)),
    ]
    digests = {spec.digest for spec in specs}
    assert len(digests) == 3
    assert specs[1].name == "Echo:max_text_history=8"
    file = tmp_path / "custom.py"
    others = []
    for code in (PLANNER.read_text(), PLANNER.read_text() + "# another word\n"):
        file.write_text(code)
        others += [find_agent(f"balrog:{file}{end}") for end in ("", ":Planner", ":max_image_history=1")]
    assert len({spec.digest for spec in others}) == 4
    assert others[2].name == f"balrog:{file}:max_image_history=1"
    assert [spec.needs for spec in others[:3]] == [(), (), ("images",)]
    assert find_agent(balrog_agent(echo)).digest in digests
    assert find_agent(balrog_agent(echo)).name == "Echo"
    assert all(action in instruction_prompt("x") for action in ACTIONS)


@with_balrog
async def test_balrog_s_own_agents_are_used_as_they_are() -> None:
    model = Model("So: ACTION: turn left!", "I do not know")
    moves = await play("chain_of_thought", model, 3)
    assert [move.action for move in moves] == ["turn left", "I do not know", "I do not know"]
    assert moves[0].thinking == "So: ACTION: turn left!"
    assert "Previous plan:\nI do not know" in [m.content for m in model.asked[2]]
    # Its own instruction.
    assert "pick up the object below you" in model.asked[0][0].content
    assert find_agent("balrog:cot").digest == find_agent("balrog:chain_of_thought").digest
    for name, answer, action in [
        ("naive", "turn left!", "turn left"),
        ("robust_naive", "<|ACTION|> drop <|END|>", "drop"),
        ("robust_cot", "Well. <|ACTION|>toggle<|END|>", "toggle"),
        ("custom", "PLAN: a\nACTION: pick up", "pick up"),
        ("few_shot", "go forward", "go forward"),
    ]:
        model = Model(answer)
        (move,) = await play(name, model, 1)
        assert move.action == action
    assert any("DEMONSTRATION EPISODE 1" in message.content for message in model.asked[0])
    with pytest.raises(InputError, match="did you mean 'naive'"):
        find_agent("balrog:naiv")


@with_balrog
async def test_a_file_meets_balrog_s_own_classes(tmp_path: Path) -> None:
    from balrog.agents.base import BaseAgent

    file = Path(shutil.copy(PLANNER, tmp_path / "custom.py"))
    spec = find_agent(f"balrog:{file}")
    assert issubclass(spec.make.made, BaseAgent)  # type: ignore[attr-defined]
    model = Model("PLAN: look around\nACTION: turn left", "KEEP", "look again")
    move = await spec.make(episode(model)).act(observation(0))
    assert (move.action, move.thinking) == ("turn left", "look around")
