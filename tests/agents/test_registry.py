"""Agents by name, with and without parameters, and what tells one from another."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from babyai_kit.agents import Episode, agent, find_agent
from babyai_kit.agents.naive import Naive
from babyai_kit.agents.registry import SHIPPED
from babyai_kit.agents.text_agent import TextAgent
from babyai_kit.errors import InputError


@agent("walker")
class Walker:
    def __init__(
        self, episode: Any, *, every: int = 3, word: str = "go", heat: float = 1.0, loud: bool = False
    ) -> None:
        self.every, self.word, self.heat, self.loud = every, word, heat, loud

    async def act(self, observation: Any) -> str:
        return "go forward"


HERE = f"{__name__}:Walker"


@pytest.mark.parametrize("name", SHIPPED)
def test_every_agent_that_ships_has_its_name_and_remembers_as_the_plan_says(name: str) -> None:
    spec = find_agent(name)
    assert spec.name == name
    # That of pictures is a parameter of its own; an explorer has that of the variant that it asks.
    assert spec.uses_history == (name not in ("vision", "explore"))
    assert getattr(spec.make, "func", spec.make).agent_name == name


def test_parameters_make_another_agent_whose_name_and_digest_say_so() -> None:
    plain, two = find_agent(HERE), find_agent(f"{HERE}:word=walk:every=2")
    assert (plain.name, two.name) == ("walker", "walker:every=2:word=walk")
    assert plain.digest != two.digest
    made: Any = two.make(None)  # type: ignore[arg-type]
    assert (made.every, made.word) == (2, "walk")
    same = find_agent(partial(Walker, every=2, word="walk"))
    assert (same.name, same.digest) == (two.name, two.digest)


def test_a_parameter_in_words_is_what_its_default_is() -> None:
    spec = find_agent(f"{HERE}:heat=0.50:loud=TRUE:every=-1")
    assert spec.name == "walker:every=-1:heat=0.5:loud=True"
    made: Any = spec.make(None)  # type: ignore[arg-type]
    assert (made.every, made.heat, made.loud) == (-1, 0.5, True)


def test_a_parameter_at_its_default_makes_the_same_agent() -> None:
    assert find_agent(f"{HERE}:every=3").name == "walker"
    assert find_agent(f"{HERE}:every=3").digest == find_agent(HERE).digest == find_agent(Walker).digest


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (f"{HERE}:evry=2", "unknown parameter of agent walker 'evry'; did you mean 'every'"),
        (f"{HERE}:every=often", "every of agent walker must be a whole number; got 'often'"),
        (f"{HERE}:every=1.5", "must be a whole number"),
        (f"{HERE}:heat=much", "heat of agent walker must be a number; got 'much'"),
        (f"{HERE}:loud=2", "loud of agent walker must be true or false; got '2'"),
        ("naive:examples=2", "unknown parameter of agent naive 'examples'; it has none"),
        (f"{HERE}:word=a\nb", "use parameters without a comma"),
    ],
)
def test_other_parameters_are_refused(place: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        find_agent(place)


def test_a_file_is_found_with_parameters_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "class Mine:\n    def __init__(self, episode, *, every=3):\n        self.every = every\n\n"
        "    async def act(self, observation):\n        return 'drop'\n"
    )
    spec = find_agent(f"{file}:every=5")
    assert spec.name == f"{file}:every=5"
    assert spec.make(None).every == 5  # type: ignore[arg-type, attr-defined]


def test_another_code_in_the_file_or_in_a_class_above_is_another_agent(tmp_path: Path) -> None:
    base, file = tmp_path / "base_of_test_registry.py", tmp_path / "mine.py"
    base.write_text("class Base:\n    async def act(self, observation):\n        return 'drop'\n")
    file.write_text(
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport base_of_test_registry\nsys.path.pop(0)\n"
        "class Mine(base_of_test_registry.Base):\n    pass\n"
    )
    first = find_agent(f"{file}:Mine").digest
    assert find_agent(f"{file}:Mine").digest == first
    base.write_text(base.read_text() + "# another\n")
    second = find_agent(f"{file}:Mine").digest
    file.write_text(file.read_text() + "# another\n")
    assert len({first, second, find_agent(f"{file}:Mine").digest}) == 3


def test_how_the_kit_reads_an_answer_is_part_of_its_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_text
    digests = {name: find_agent(name).digest for name in SHIPPED}
    assert len(set(digests.values())) >= len(SHIPPED) - 1  # two may share a file

    def changed(of: str, path: Path, *words: Any, **named: Any) -> str:
        return read(path, *words, **named) + ("# another" if path.name == of else "")

    for file, differ in (("action_text.py", True), ("text_agent.py", True), ("registry.py", False)):
        monkeypatch.setattr(Path, "read_text", lambda *a, of=file, **k: changed(of, *a, **k))
        assert (find_agent("naive").digest != digests["naive"]) == differ
        assert (find_agent("robust_naive").digest != digests["robust_naive"]) == differ


def test_a_class_of_a_notebook_counts_with_the_kits_code_that_it_is_made_of() -> None:
    names: dict[str, Any] = {"TextAgent": TextAgent, "__name__": "__main__"}
    exec("class Mine(TextAgent):\n    form = 'Answer.'", names)
    spec = find_agent(names["Mine"])
    assert spec.name == "Mine"
    assert spec.digest != find_agent(Naive).digest
    assert isinstance(spec.make(_episode()), TextAgent)


def _episode() -> Episode:
    async def ask(*words: Any, **named: Any) -> Any:
        raise AssertionError

    return Episode(ask, "go", "goto", 1, 0, 0, 64, 8)
