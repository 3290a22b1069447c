"""Windows, symmetries, and the way from training files to them."""

from __future__ import annotations

import json
import random

import numpy as np

from babyai_kit import ACTIONS, TASKS, make_env
from babyai_kit.local.learner.conversations import read_records
from babyai_kit.local.learner.demonstrations import BASE_SEEDS, demonstrate
from babyai_kit.local.learner.tokenizer import ACTION_TOKENS, TOKEN, TURN, Turn
from babyai_kit.local.learner.windows import IGNORE, WINDOW, Record, Windows, mirror

MISSION = "go to the red ball"


def wander(task: str, seed: int, steps: int) -> list[Turn]:
    env, dice = make_env(task), random.Random(seed)
    observation, _ = env.reset(seed=seed)
    turns = []
    while env.unwrapped.running and len(turns) < steps:
        action = dice.choice(ACTIONS)
        turns.append(Turn(observation["text"], action))
        observation, *_ = env.step(ACTIONS.index(action))
    return turns


def chat(turns: list[Turn], step: int, history_length: int) -> tuple[list[tuple[str, str]], str]:
    """The training example of a step, as the templates of config/ render it."""
    past = turns[max(0, step - history_length) : step]
    steps = "".join(f"\nObservation:\n{t.observation}\nAction: {t.action}\n" for t in past)
    head = f"\nHistory (the last {len(past)} steps, oldest first):\n{steps}" if past else ""
    text = f"Mission: {MISSION}\n{head}\nCurrent observation:\n{turns[step].observation}"
    return [("system", "rules"), ("user", text)], json.dumps({"action": turns[step].action})


def test_an_epoch_learns_every_action_once():
    turns = wander("goto", 0, 30)
    learn = tuple(i % 3 > 0 for i in range(len(turns)))
    windows = Windows([Record(MISSION, tuple(turns), learn)] * 3, symmetries=False)
    assert windows.actions == 3 * sum(learn)
    rng = np.random.default_rng(0)
    for _ in range(3):
        labels = np.concatenate([batch.labels.ravel() for batch in windows.epoch(rng, 4)])
        assert np.isin(labels, ACTION_TOKENS).sum() == windows.actions
        assert (labels == TOKEN[TURN]).sum() == windows.actions
        assert set(labels[labels != IGNORE]) <= {*ACTION_TOKENS, TOKEN[TURN]}


def test_a_label_is_the_token_that_follows():
    windows = Windows([Record(MISSION, tuple(wander("putnext", 1, 40)), (True,) * 40)])
    for batch in windows.epoch(np.random.default_rng(1), 2):
        rows, columns = np.nonzero(batch.labels[:, :-1] != IGNORE)
        after = batch.tokens[rows, columns + 1]
        expected = batch.labels[rows, columns]
        assert ((after == expected) | (after == 0)).all()  # or the window ends here
        assert ((batch.tokens == TOKEN[TURN]).sum(axis=1) <= WINDOW).all()


def test_windows_fit_the_context_and_keep_their_last_step():
    record = Record(MISSION, tuple(wander("putnext", 1, 60)), (True,) * 60)
    for batch in Windows([record], context=24).epoch(np.random.default_rng(1), 4):
        assert batch.tokens.shape[1] <= 24
        assert (batch.labels != IGNORE).any(axis=1).all()
        assert (batch.tokens[:, 0] == TOKEN["go to"]).all()


def test_a_mirrored_view_is_that_of_a_mirrored_world():
    lines = ("a wall 3 steps forward", "a wall 1 step right", "a red ball 2 steps left")
    text = "\n".join((*lines, "a blue key 1 step right and 2 steps forward"))
    turned = mirror(Turn(text, "turn left"))
    assert turned.action == "turn right"
    assert turned.observation.splitlines() == [
        "a wall 3 steps forward",
        "a wall 1 step left",
        "a blue key 1 step left and 2 steps forward",
        "a red ball 2 steps right",
    ]
    for task in TASKS:
        for turn in wander(task, 3, 40):
            assert mirror(mirror(turn)) == turn


def test_symmetries_keep_meaning_apart_from_names():
    """Two things alike stay alike, different ones different, and doors keep their keys."""
    windows = Windows(list(demonstrate(range(BASE_SEEDS, BASE_SEEDS + 5), 0.5, ["open", "putnext"])))
    plain = Windows(
        list(demonstrate(range(BASE_SEEDS, BASE_SEEDS + 5), 0.5, ["open", "putnext"])), symmetries=False
    )
    assert windows.actions == plain.actions
    for record in range(len(windows._learn)):
        whole = (record, 0, len(windows._learn[record]))
        one, _ = plain._window(whole, np.random.default_rng(0))
        other, _ = windows._window(whole, np.random.default_rng(record))
        assert len(one) == len(other)
        assert len(set(one)) == len(set(other))


def test_examples_of_one_episode_become_one_record():
    turns = wander("pickup", 5, 30)
    for history_length in (2, 8):
        examples = [chat(turns, step, history_length) for step in range(len(turns))]
        (record,) = read_records(examples)
        assert record == Record(MISSION, tuple(turns), (True,) * len(turns))


def test_left_out_steps_are_read_and_not_learnt():
    turns = wander("pickup", 6, 30)
    kept = [step for step in range(30) if step % 4]
    (record,) = read_records([chat(turns, step, 2) for step in kept])
    learnt = [turn for turn, learn in zip(record.turns, record.learn, strict=True) if learn]
    assert learnt == [turns[step] for step in kept]
    # What was left out stands in the history of the step after it.
    assert record.turns == tuple(turns)


def test_other_episodes_and_prompts_without_history_are_records_of_their_own():
    turns, others = wander("pickup", 7, 5), wander("pickup", 8, 5)
    examples = [chat(t, step, 2) for t in (turns, others) for step in range(5)]
    assert [len(record.turns) for record in read_records(examples)] == [5, 5]
    assert [len(record.turns) for record in read_records([chat(turns, step, 0) for step in range(5)])] == [
        1
    ] * 5
    assert list(read_records([(chat(turns, 0, 0)[0], "I do not know")])) == []


def test_demonstrations_are_the_same_each_time_and_come_from_their_own_block():
    once, again = (list(demonstrate(range(BASE_SEEDS, BASE_SEEDS + 2), 0.8)) for _ in range(2))
    assert once == again
    assert len(once) == 2 * len(TASKS)
