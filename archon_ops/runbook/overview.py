"""Which runbooks there are, and when each was executed last."""

from __future__ import annotations

from dataclasses import dataclass

from archon_ops.model.runs import RunRecord, recovery_seconds
from archon_ops.model.units import human_duration, zulu
from archon_ops.runbook import templates
from archon_ops.runbook.templates import Template
from archon_ops.site import Site


@dataclass(frozen=True)
class Entry:
    """One runbook as it is listed; texts are "-" where nothing is known."""

    name: str
    title: str
    expected: str
    loss: str
    last_run: str
    last_verdict: str
    last_recovery: str
    state: str


def overview(site: Site) -> tuple[Entry, ...]:
    """All runbooks, with their last run on this source.

    Raises:
        PreconditionError: a notebook, or the folder of run records, cannot be read.
    """
    records = site.journal.records()
    return tuple(_entry(template, records) for template in templates.all_templates(site.settings))


def _entry(template: Template, records: tuple[RunRecord, ...]) -> Entry:
    runs = (r for r in records if r.action == "drill" and r.details.get("runbook") == template.name)
    last = next(runs, None)
    took = recovery_seconds(last) if last else None
    return Entry(
        name=template.name,
        title=template.title,
        expected=template.said("expected"),
        loss=template.said("loss"),
        last_run=zulu(last.started_at) if last else "-",
        last_verdict=str(last.details.get("verdict", last.result.value)) if last else "-",
        last_recovery="-" if took is None else human_duration(took),
        state=template.state,
    )
