"""What a runbook did, put together from the events that it wrote down while it ran."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """One step as it ran.

    Attributes:
        name: stable ("drill.restore").
        title: for people.
        began_at: UTC.
        seconds: duration; None while it runs, or when its process died in it.
        outcome: "done", "failed", or "running" where nobody wrote down its end.
        recovery: whether its time is part of the recovery time.
    """

    name: str
    title: str
    began_at: datetime
    seconds: float | None = None
    outcome: str = "running"
    recovery: bool = False


@dataclass(frozen=True)
class Check:
    """Something that had to hold, whether it did, and what was found."""

    name: str
    passed: bool
    found: str


@dataclass(frozen=True)
class Control:
    """A damage done on purpose, and whether the proof noticed it.

    Attributes:
        name: stable ("row").
        damage: what was done.
        noticed: whether the proof failed on it; None where the damage could not be done.
        found: what the proof said, or why it could not be tried.
    """

    name: str
    damage: str
    noticed: bool | None
    found: str


@dataclass(frozen=True)
class Failure:
    """An error that ended a step or the run: what, what to do, and the exit code it stands for."""

    message: str
    hint: str
    code: int


@dataclass(frozen=True)
class Trace:
    """A whole run.

    Attributes:
        planned: name -> title of the steps that the plan had, in order.
        steps: those that began, in order.
        checks, controls: what was examined.
        not_covered: what was known beforehand not to apply, one line each.
        deviations: what went otherwise than planned, one line each.
        failures: errors, in order.
        facts: anything else that belongs into the evidence, by name.
        closed: whether the notebook came to its end.
    """

    planned: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    checks: tuple[Check, ...] = ()
    controls: tuple[Control, ...] = ()
    not_covered: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    closed: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """Titles of the steps that were planned and did not come to their end."""
        done = {step.name for step in self.steps if step.outcome == "done"}
        return tuple(title for name, title in self.planned.items() if name not in done)

    @property
    def recovery_seconds(self) -> float | None:
        """How long recovering took; None where a step of it did not come to its end."""
        parts = [step for step in self.steps if step.recovery]
        if not parts or any(step.outcome != "done" for step in parts):
            return None
        return sum(step.seconds or 0.0 for step in parts)


def traced(events: Iterable[Event]) -> Trace:
    """The run that wrote these events, in their order; kinds that are not known are passed over."""
    trace = Trace()
    for event in events:
        trace = _after(trace, event)
    return trace


def _after(trace: Trace, event: Event) -> Trace:
    match event["kind"]:
        case "plan":
            return replace(trace, planned={**trace.planned, **event["steps"]})
        case "begin":
            return replace(trace, steps=(*trace.steps, _begun(event)))
        case "end":
            return replace(trace, steps=tuple(_ended(step, event) for step in trace.steps))
        case "check":
            check = Check(event["name"], event["passed"], event["found"])
            return replace(trace, checks=(*trace.checks, check))
        case "control":
            control = Control(event["name"], event["damage"], event["noticed"], event["found"])
            return replace(trace, controls=(*trace.controls, control))
        case "not_covered":
            return replace(trace, not_covered=(*trace.not_covered, event["text"]))
        case "deviation":
            return replace(trace, deviations=(*trace.deviations, event["text"]))
        case "failure":
            failure = Failure(event["message"], event["hint"], event["code"])
            return replace(trace, failures=(*trace.failures, failure))
        case "fact":
            return replace(trace, facts={**trace.facts, event["name"]: event["value"]})
        case "closed":
            return replace(trace, closed=True)
        case _:
            return trace


def _begun(event: Event) -> Step:
    at = datetime.fromisoformat(event["at"])
    return Step(event["name"], event["title"], at, recovery=bool(event["recovery"]))


def _ended(step: Step, event: Event) -> Step:
    if step.name != event["name"] or step.outcome != "running":
        return step
    return replace(step, seconds=event["seconds"], outcome=event["outcome"])
