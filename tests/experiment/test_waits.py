"""Failures that pass: which use up tries, how long is waited, what is told, and when waiting ends."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from babyai_kit.errors import (
    FATAL_KINDS,
    GatewayError,
    InputError,
    ModelError,
    RateLimited,
    ServiceError,
    StoreError,
)
from babyai_kit.experiment.options import RunOptions
from babyai_kit.experiment.pace import Pace
from babyai_kit.experiment.patience import Backoff
from babyai_kit.gateway.protocol import Answer, Question
from tests.support.plain_gateway import PlainGateway, answer, carry_out

HURRIED = Backoff(first_wait_s=0.001, max_wait_s=0.005, notice_s=0.0)

OUTAGES: dict[str, Callable[[], ServiceError]] = {
    "rate limit": lambda: RateLimited("limited; wait"),
    "refused": lambda: ModelError("away; start it", kind="connection", retryable=True),
    "loading": lambda: ModelError("loading; wait", kind="loading", retryable=True),
    "gateway": lambda: GatewayError("away; start it", kind="gateway", retryable=True),
    "store": lambda: StoreError("away; start it", kind="store", retryable=True),
    "asked": lambda: ModelError("busy", kind="server", retryable=True, retry_after_s=0.001),
}
FAULTS: dict[str, Callable[[], ServiceError]] = {
    "server": lambda: ModelError("failed; try again", kind="server", retryable=True),
    "timeout": lambda: ModelError("slow; try again", kind="timeout", retryable=True),
    "bad answer": lambda: ModelError("unreadable", kind="bad answer", retryable=True),
}


def failing(times: int, failure: Callable[[], ServiceError]) -> Callable[[Question], Answer | Exception]:
    """The first `times` calls fail."""
    calls = iter(range(times))
    return lambda question: answer() if next(calls, None) is None else failure()


@pytest.mark.parametrize("kind", OUTAGES)
async def test_an_outage_uses_up_no_tries_and_is_told_once(tmp_path, capsys, kind):
    gateway = PlainGateway(failing(60, OUTAGES[kind]))
    runner = await carry_out(gateway, tmp_path, seeds=range(2), backoff=HURRIED)
    assert [episode.status for episode in runner.ended] == ["ok", "ok"]
    told = capsys.readouterr().out
    assert told.count("Waiting for ") == 1
    assert told.count("Answered again after") == 1


async def test_limits_that_come_again_and_again_are_told_once_and_other_absences_each_time(tmp_path, capsys):
    count = iter(range(10**6))
    limited = True

    def reply(question: Question) -> Answer | Exception:
        if next(count) % 4 != 3:
            return answer()
        return OUTAGES["rate limit" if limited else "gateway"]()

    await carry_out(PlainGateway(reply), tmp_path / "limited", backoff=HURRIED)
    assert capsys.readouterr().out.count("Waiting for the model server") == 1
    limited = False
    await carry_out(PlainGateway(reply), tmp_path / "away", backoff=HURRIED)
    told = capsys.readouterr().out
    assert told.count("Waiting for the gateway") == told.count("Answered again") > 1


@pytest.mark.parametrize(
    ("kind", "retry_after_s"), [("server", None), ("connection", None), ("server", 0.001)]
)
async def test_a_question_that_fails_while_others_are_answered_is_an_error(tmp_path, kind, retry_after_s):
    def reply(question: Question) -> Answer | Exception:
        failure = ModelError("no; try again", kind=kind, retryable=True, retry_after_s=retry_after_s)
        return failure if question.tags["seed"] == "1" else answer()

    gateway = PlainGateway(reply)
    runner = await carry_out(gateway, tmp_path, seeds=range(30), backoff=HURRIED, max_concurrency=2)
    assert runner.stopped is None
    assert len(runner.ended) == 30
    (error,) = [episode for episode in runner.ended if episode.status == "error"]
    assert (error.seed, error.error_kind) == (1, kind)
    assert sum(q.tags["seed"] == "1" for q in gateway.questions) >= HURRIED.attempts


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_fault_of_everybody_stops_the_run_after_all_tries(tmp_path, kind):
    gateway = PlainGateway(lambda question: FAULTS[kind]())
    runner = await carry_out(gateway, tmp_path, seeds=range(20), backoff=HURRIED)
    assert "3 episodes in a row used up their tries" in str(runner.stopped)
    assert [episode.status for episode in runner.ended] == ["error"] * 3
    assert len(gateway.questions) >= 3 * HURRIED.attempts


@pytest.mark.parametrize("answered", [0, 30])
async def test_a_server_that_refuses_everything_from_some_moment_on_stops_the_run(tmp_path, answered):
    calls = iter(range(answered))
    refusal = ModelError("refused (400); read its reason: gone", kind="bad request")
    gateway = PlainGateway(lambda question: refusal if next(calls, None) is None else answer())
    runner = await carry_out(gateway, tmp_path, seeds=range(60), backoff=HURRIED, max_concurrency=2)
    assert "20 episodes in a row were refused an answer" in str(runner.stopped)
    assert len(runner.ended) < 40


@pytest.mark.parametrize("kind", OUTAGES)
async def test_patience_ends_and_no_episode_is_lost(tmp_path, kind):
    away = True
    gateway = PlainGateway(lambda question: OUTAGES[kind]() if away else answer())
    impatient = Backoff(first_wait_s=0.001, max_wait_s=0.005, patience_s=0.05)
    runner = await carry_out(gateway, tmp_path, seeds=range(5), backoff=impatient)
    assert isinstance(runner.stopped, ServiceError)
    assert runner.stopped.fatal
    assert re.match("no call was answered for .* then run again: ", str(runner.stopped))
    assert not runner.ended
    away = False
    runner = await carry_out(gateway, tmp_path, seeds=range(5), backoff=impatient)
    assert [episode.status for episode in runner.ended] == ["ok"] * 5


@pytest.mark.parametrize("kind", ["rate limit", "loading", "store"])
async def test_a_wait_that_is_asked_of_some_calls_alone_is_no_error_either(tmp_path, kind):
    """One of two models is loaded, or limited, while the other answers."""
    refusals = iter(range(4 * HURRIED.attempts))

    def reply(question: Question) -> Answer | Exception:
        waits = question.tags["seed"] == "1" and next(refusals, None) is not None
        return OUTAGES[kind]() if waits else answer()

    runner = await carry_out(
        PlainGateway(reply), tmp_path, seeds=range(20), backoff=HURRIED, max_concurrency=2
    )
    assert {episode.status for episode in runner.ended} == {"ok"}
    assert len(runner.ended) == 20


async def test_an_answer_renews_patience(tmp_path):
    calls = iter(range(10**6))
    # Away for most of the time, and never for long: the run takes far longer than its patience.
    gateway = PlainGateway(lambda question: OUTAGES["refused"]() if next(calls) % 3 else answer())
    patient = Backoff(first_wait_s=0.02, max_wait_s=0.02, patience_s=1.0)
    started = time.monotonic()
    runner = await carry_out(gateway, tmp_path, backoff=patient)
    assert [episode.status for episode in runner.ended] == ["ok"]
    assert time.monotonic() - started > patient.patience_s


@pytest.mark.parametrize(
    "failure",
    [
        RateLimited("limited", retry_after_s=7500),
        RateLimited("Please try again in 2h5m0s."),
        ModelError("maintenance", kind="server", retryable=True, retry_after_s=7500),
    ],
)
async def test_a_wait_beyond_patience_ends_the_run_at_once_and_says_until_when(tmp_path, failure):
    gateway = PlainGateway(lambda question: failure)
    runner = await carry_out(gateway, tmp_path, seeds=range(20), backoff=HURRIED, max_concurrency=4)
    assert re.search(r"asks to wait 2 h 5 min, until \d{4}-.*; run again then", str(runner.stopped))
    assert len(gateway.questions) <= 4
    assert not runner.ended


@pytest.mark.parametrize("wait_s", [float("inf"), 1e300])
async def test_a_wait_without_end_is_told(tmp_path, wait_s):
    gateway = PlainGateway(lambda question: RateLimited("limited", retry_after_s=wait_s))
    runner = await carry_out(gateway, tmp_path, backoff=HURRIED)
    assert "asks to wait for ever" in str(runner.stopped)


@pytest.mark.parametrize("wait_s", [-5.0, float("nan"), 0.0])
async def test_a_wait_that_is_none_is_taken_for_none(tmp_path, wait_s):
    gateway = PlainGateway(failing(20, lambda: RateLimited("limited", retry_after_s=wait_s)))
    runner = await carry_out(gateway, tmp_path, backoff=HURRIED)
    assert [episode.status for episode in runner.ended] == ["ok"]


async def test_no_call_starts_while_a_limit_asks_to_wait(tmp_path):
    opens: float | None = None
    refused = 0

    def reply(question: Question) -> Answer | Exception:
        nonlocal opens, refused
        now = time.monotonic()
        opens = opens or now + 0.4
        if now >= opens:
            return answer()
        refused += 1
        return RateLimited("limited", retry_after_s=opens - now)

    runner = await carry_out(
        PlainGateway(reply), tmp_path, seeds=range(40), backoff=HURRIED, max_concurrency=5
    )
    assert len(runner.ended) == 40
    # Those in flight together when it was said; 20 episodes are alive at once.
    assert refused <= 5


async def test_a_limit_of_one_model_does_not_close_another():
    pace = Pace(None, HURRIED)
    pace.refused("one", time.monotonic(), RateLimited("limited", retry_after_s=500))
    assert pace.closed_s("one") > 400
    await pace.open("another")
    await pace.turn()


@pytest.mark.parametrize("kind", sorted(FATAL_KINDS))
async def test_what_the_user_must_mend_is_fatal_at_once(tmp_path, kind):
    gateway = PlainGateway(lambda question: RateLimited("pay or mend; then run again", kind=kind))
    runner = await carry_out(gateway, tmp_path, seeds=range(9), backoff=HURRIED, max_concurrency=1)
    assert str(runner.stopped) == "pay or mend; then run again"
    assert len(gateway.questions) == 1


async def test_starts_are_spaced_retries_included(tmp_path):
    gateway = PlainGateway(failing(5, FAULTS["server"]))
    started = time.monotonic()
    await carry_out(gateway, tmp_path, backoff=HURRIED, requests_per_minute=60 * 100)
    assert len(gateway.questions) == 64 + 5
    assert time.monotonic() - started >= 0.01 * (64 + 5 - 1)


async def test_a_call_that_waits_for_its_turn_is_not_asked_after_the_end(tmp_path):
    gateway = PlainGateway(lambda question: RateLimited("no credit; add some", kind="quota"))
    # The second turn would come in an hour.
    runner = await carry_out(gateway, tmp_path, seeds=range(30), backoff=HURRIED, requests_per_minute=1 / 60)
    assert "no credit" in str(runner.stopped)
    assert len(gateway.questions) == 1


@pytest.mark.parametrize(
    "bad",
    [
        *({"requests_per_minute": value} for value in (0, -1, float("nan"), float("inf"), True)),
        *({"stop_after_invalid": value} for value in (-1, 1.5, True)),
    ],
)
def test_options_out_of_range_are_told(bad):
    with pytest.raises(InputError, match=f"{next(iter(bad))} .* is not valid; use"):
        RunOptions(**bad)
