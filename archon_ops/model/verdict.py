"""What a runbook's run proved: PASS, FAIL or INCONCLUSIVE, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from archon_ops.errors import ExitCode
from archon_ops.model.trace import Failure, Trace
from archon_ops.model.units import human_duration

# An error of these says that something could not be tried, not that it does not work.
_NOT_TRIED = {
    ExitCode.PRECONDITION,
    ExitCode.LOCKED,
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.INCONCLUSIVE,
}


class Verdict(StrEnum):
    """What a run proved.

    PASS: every planned step ran, every check held, every damage was noticed.
    FAIL: something did not hold.
    INCONCLUSIVE: nothing is known to be wrong, and not all of it was proven.
    """

    PASS = "PASS"  # noqa: S105 - a verdict
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def exit_code(self) -> ExitCode:
        """How a command with this verdict ends."""
        return {
            Verdict.PASS: ExitCode.DONE,
            Verdict.FAIL: ExitCode.FAILED,
            Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
        }[self]


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The gravest of several; of none it is INCONCLUSIVE."""
    found = set(verdicts)
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS):
        if verdict in found:
            return verdict
    return Verdict.INCONCLUSIVE


@dataclass(frozen=True)
class Objectives:
    """How long a recovery may take, and how much of the newest data may be lost."""

    recovery_time: timedelta
    recovery_point: timedelta


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reasons, the gravest first; a PASS has none."""

    verdict: Verdict
    reasons: tuple[str, ...]


def judged(trace: Trace, objectives: Objectives) -> Judgement:
    """The verdict on a run."""
    wrong = tuple(_wrong(trace, objectives))
    open_ = tuple(_unproven(trace))
    if wrong:
        return Judgement(Verdict.FAIL, wrong + open_)
    return Judgement(Verdict.INCONCLUSIVE if open_ else Verdict.PASS, open_)


def _wrong(trace: Trace, objectives: Objectives) -> Iterator[str]:
    yield from (f"{c.name}: {c.found}" for c in trace.checks if not c.passed)
    for control in trace.controls:
        if control.noticed is False:
            yield f"the proof did not notice: {control.damage}"
    yield from (f.message for f in trace.failures if not _not_tried(f))
    took, lost = trace.recovery_seconds, trace.facts.get("recovery_point_seconds")
    yield from _missed("recovery time", took, objectives.recovery_time)
    yield from _missed("recovery point", lost, objectives.recovery_point)


def _missed(what: str, seconds: float | None, objective: timedelta) -> Iterator[str]:
    if seconds is not None and seconds > objective.total_seconds():
        limit = human_duration(objective.total_seconds())
        yield f"{what} {human_duration(seconds)}, the objective is {limit}"


def _unproven(trace: Trace) -> Iterator[str]:
    yield from (f.message for f in trace.failures if _not_tried(f))
    yield from trace.deviations
    if trace.missing:
        yield f"planned and not done: {'; '.join(trace.missing)}"
    for control in trace.controls:
        if control.noticed is None:
            yield f"planned and not done: {control.damage}: {control.found}"
    if trace.failures:  # they say why it went no further
        return
    if not trace.planned:
        yield "there was no plan to hold the run against"
    if not trace.closed:
        yield "the notebook did not come to its end"


def _not_tried(failure: Failure) -> bool:
    return failure.code in _NOT_TRIED
