"""Drawing faults and delays: repeatable, at the rates asked for."""

from __future__ import annotations

import contextlib
import json
import statistics

import pytest

from babyai_kit.errors import InputError
from babyai_kit.local.player.faults import HUGE_CHARACTERS, Fault, FaultPlan, Latency, spoil

IDENTITIES = [f"{number:032x}" for number in range(4000)]


def test_rates_are_met_and_draws_repeat() -> None:
    plan = FaultPlan({"429": 0.2, "500": 0.1, "reset": 0.05, "malformed": 0.1}, seed=3)
    drawn = [plan.passing_fault(identity, 0, 0) for identity in IDENTITIES]
    assert drawn == [plan.passing_fault(identity, 0, 0) for identity in IDENTITIES]
    share = {kind: sum(f is not None and f.kind == kind for f in drawn) / 4000 for kind in plan.rates}
    assert share == pytest.approx({"429": 0.2, "500": 0.1, "reset": 0.05, "malformed": 0}, abs=0.02)
    spoiled = [plan.spoiled_answer(identity) for identity in IDENTITIES]
    assert sum(fault is not None for fault in spoiled) / 4000 == pytest.approx(0.1, abs=0.02)


def test_spoiled_answers_do_not_depend_on_the_passing_faults() -> None:
    alone = FaultPlan({"malformed": 0.1}, seed=3)
    mixed = FaultPlan({"429": 0.2, "malformed": 0.1, "stall": 0.05}, seed=3)
    other = FaultPlan({"malformed": 0.1}, seed=4)
    spoiled = [alone.spoiled_answer(identity) for identity in IDENTITIES]
    assert spoiled == [mixed.spoiled_answer(identity) for identity in IDENTITIES]
    assert spoiled != [other.spoiled_answer(identity) for identity in IDENTITIES]


def test_attempts_draw_anew_and_end() -> None:
    plan = FaultPlan({"500": 0.5})
    first = [plan.passing_fault(identity, 0, 0) for identity in IDENTITIES]
    second = [plan.passing_fault(identity, 1, 0) for identity in IDENTITIES]
    assert first != second
    always = FaultPlan({"500": 1.0}, max_failures=2)
    assert always.passing_fault("x", 1, 1) == Fault("500")
    assert always.passing_fault("x", 2, 2) is None
    assert FaultPlan({"500": 1.0}, max_failures=None).passing_fault("x", 99, 99) == Fault("500")


def test_plan_from_text() -> None:
    plan = FaultPlan.parse(" 429=0.2, reset=.05 ,", seed=1, retry_after_s=2)
    assert (dict(plan.rates), plan.seed, plan.retry_after_s) == ({"429": 0.2, "reset": 0.05}, 1, 2)
    assert FaultPlan.parse("").rates == {}


@pytest.mark.parametrize(
    "text", ["429", "429=x", "399=0.1", "fire=0.1", "429=1.5", "429=-0.1", "429=nan", "429=0.6,500=0.6"]
)
def test_bad_plans_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        FaultPlan.parse(text)


def test_spoiled_texts() -> None:
    good = '{"thinking": "so", "action": "drop"}'
    assert spoil(Fault("empty"), good, "x") == ""
    assert json.loads(spoil(Fault("invalid_action"), good, "x"))["thinking"] == "so"
    assert len(spoil(Fault("huge"), good, "x")) >= HUGE_CHARACTERS * 0.99
    assert json.loads(spoil(Fault("huge"), good, "x"))["action"] == "drop"
    valid = {"turn left", "turn right", "go forward", "pick up", "drop", "toggle"}
    for identity in IDENTITIES[:50]:
        assert json.loads(spoil(Fault("invalid_action"), good, identity))["action"] not in valid
        broken = spoil(Fault("malformed"), good, identity)
        with contextlib.suppress(ValueError):  # no JSON at all is what is meant, too
            assert not isinstance(json.loads(broken), dict)
        assert broken == spoil(Fault("malformed"), good, identity)


def test_latency() -> None:
    assert Latency().seconds("x", 0) == 0
    assert Latency(0.5).seconds("x", 0) == 0.5
    lognormal = Latency(2.0, 0.5)
    drawn = [lognormal.seconds(identity, 0) for identity in IDENTITIES]
    assert drawn == [lognormal.seconds(identity, 0) for identity in IDENTITIES]
    assert statistics.mean(drawn) == pytest.approx(2.0, rel=0.05)
    for bad in ((-1, 0), (1, -1), (float("nan"), 0), (float("inf"), 0)):
        with pytest.raises(InputError):
            Latency(*bad)
