from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from archon_ops.errors import ExitCode
from archon_ops.model.trace import traced
from archon_ops.model.verdict import Objectives, Verdict, judged

_PROMISED = Objectives(timedelta(minutes=10), timedelta(hours=24))
_AT = "2026-01-01T00:00:00.000+00:00"


def _event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"at": _AT, "kind": kind, **fields}


def _sound() -> list[dict[str, Any]]:
    """A run in which everything went as it should."""
    return [
        _event("plan", steps={"a": "First", "b": "Second"}),
        _event("begin", name="a", title="First", recovery=True),
        _event("end", name="a", seconds=2.5, outcome="done"),
        _event("begin", name="b", title="Second", recovery=False),
        _event("check", name="content", passed=True, found="equal"),
        _event("control", name="row", damage="a row changed", noticed=True, found="differs"),
        _event("end", name="b", seconds=1.0, outcome="done"),
        _event("fact", name="recovery_point_seconds", value=60.0),
        _event("not_covered", text="services: none are configured"),
        _event("closed"),
    ]


def test_a_run_in_which_all_held_is_a_pass_without_reasons() -> None:
    trace = traced(_sound())
    judgement = judged(trace, _PROMISED)
    assert (judgement.verdict, judgement.reasons) == (Verdict.PASS, ())
    assert trace.recovery_seconds == 2.5
    assert trace.not_covered == ("services: none are configured",)


@pytest.mark.parametrize(
    ("more", "verdict", "reason"),
    [
        (
            _event("check", name="content", passed=False, found="7 rows"),
            Verdict.FAIL,
            "content: 7 rows",
        ),
        (
            _event("control", name="bit", damage="a bit flipped", noticed=False, found="equal"),
            Verdict.FAIL,
            "the proof did not notice: a bit flipped",
        ),
        (
            _event("control", name="bit", damage="a bit flipped", noticed=None, found="no room"),
            Verdict.INCONCLUSIVE,
            "planned and not done: a bit flipped: no room",
        ),
        (
            _event("failure", message="it broke", hint="", code=int(ExitCode.FAILED)),
            Verdict.FAIL,
            "it broke",
        ),
        (
            _event("failure", message="no tools", hint="", code=int(ExitCode.PRECONDITION)),
            Verdict.INCONCLUSIVE,
            "no tools",
        ),
        (_event("deviation", text="another one"), Verdict.INCONCLUSIVE, "another one"),
        (
            _event("plan", steps={"c": "Third"}),
            Verdict.INCONCLUSIVE,
            "planned and not done: Third",
        ),
        (
            _event("fact", name="recovery_point_seconds", value=90000.0),
            Verdict.FAIL,
            "recovery point 1 d 1 h, the objective is 1 d",
        ),
    ],
)
def test_what_lowers_a_verdict(more: dict[str, Any], verdict: Verdict, reason: str) -> None:
    judgement = judged(traced([*_sound(), more]), _PROMISED)
    assert (judgement.verdict, judgement.reasons) == (verdict, (reason,))


def test_a_recovery_that_took_too_long_is_a_fail() -> None:
    slow = Objectives(timedelta(seconds=2), timedelta(hours=24))
    assert judged(traced(_sound()), slow).verdict is Verdict.FAIL


def test_a_step_that_nobody_ended_leaves_recovery_unknown_and_the_run_inconclusive() -> None:
    trace = traced(_sound()[:2])
    assert trace.recovery_seconds is None
    assert judged(trace, _PROMISED).verdict is Verdict.INCONCLUSIVE
    assert trace.steps[0].outcome == "running"


def test_what_kept_a_run_from_its_plan_is_the_one_reason() -> None:
    refused = _event("failure", message="no containers", hint="", code=int(ExitCode.PRECONDITION))
    assert judged(traced([refused]), _PROMISED).reasons == ("no containers",)


def test_a_run_without_a_plan_proves_nothing() -> None:
    assert judged(traced([_event("closed")]), _PROMISED).verdict is Verdict.INCONCLUSIVE


def test_verdicts_end_a_command_with_the_codes_of_the_readme() -> None:
    codes = {verdict.value: int(verdict.exit_code) for verdict in Verdict}
    assert codes == {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 5}
