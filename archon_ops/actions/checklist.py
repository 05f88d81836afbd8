"""Tick the document's checklists from the doctor's answers, the catalogue and the run records."""

from __future__ import annotations

from archon_ops.actions.doctor import cron, environment
from archon_ops.actions.doctor.examination import Examination
from archon_ops.actions.doctor.examine import examine
from archon_ops.errors import OpsError
from archon_ops.model.boxes import Box, Evidence
from archon_ops.model.checklist import Phase, boxes
from archon_ops.model.diagnosis import worst
from archon_ops.settings import backup_on_start
from archon_ops.site import Site


def checklist(site: Site, phases: tuple[Phase, ...]) -> dict[Phase, tuple[Box, ...]]:
    """The boxes of these phases.

    Args:
        site: whose.
        phases: which; in this order.
    """
    known = _evidence(examine(site))
    return {phase: boxes(phase, known) for phase in phases}


def _evidence(seen: Examination) -> Evidence:
    site = seen.site
    home = site.settings.home(site.name)
    names = {finding.check for finding in seen.findings}
    found = {name: worst(f for f in seen.findings if f.check == name) for name in names}
    return Evidence(
        findings={name: finding for name, finding in found.items() if finding},
        catalog=seen.catalog,
        records=seen.records,
        now=site.clock(),
        keep=site.settings.retention.last,
        inv=seen.inv,
        schedule=cron.schedules_backup(seen.schedule),
        backup_on_start=_on_start(site),
        versioned=environment.version_controlled(home),
    )


def _on_start(site: Site) -> bool:
    try:
        return backup_on_start(site.settings.home(site.name))
    except OpsError:  # the doctor has said that it cannot be read
        return False
