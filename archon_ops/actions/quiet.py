"""While a database is switched, nobody of Archon's writes to it; afterwards all is as before."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from archon_ops.errors import ExitCode, OpsError
from archon_ops.model.report import Report
from archon_ops.model.runs import Result, RunRecord
from archon_ops.site import Site

if TYPE_CHECKING:  # it brings Docker's SDK, which other sources never need
    from archon_ops.services.health import Verdict

# Key in the run record under which the services are found that a run has stopped.
STOPPED = "stopped_services"
# And those that were started again and are not well.
NOT_BACK = "services_not_back"


@contextlib.contextmanager
def services_stopped(site: Site, details: dict[str, object]) -> Iterator[None]:
    """Stop the services that run, and start exactly those again, whatever happens.

    Args:
        site: whose services.
        details: of the run; says which services a later run has to start if this one is killed.
    """
    site.report.phase("restore.services", "Services")
    if not (site.source.services or site.source.services_project):
        site.report.info("no services are configured for this source")
        yield
        return
    from archon_ops.services.containers import stopped

    def remember(names: tuple[str, ...]) -> None:
        details[STOPPED] = list(names)
        site.report.step("restore.stopping", f"to be stopped: {', '.join(names) or 'none'}")

    def forget(verdicts: tuple[Verdict, ...]) -> None:
        again = bool(details.get(STOPPED))
        details[STOPPED] = []
        details[NOT_BACK] = [verdict.name for verdict in verdicts if not verdict.well]
        site.report.step(
            "restore.started", "services were started again" if again else "no service to start"
        )

    with stopped(site.services(), site.report, remember, forget):
        yield


def with_services(details: dict[str, object], code: ExitCode) -> ExitCode:
    """The exit code of a run that is done, when a service did not come back after it."""
    return ExitCode.FAILED if details.get(NOT_BACK) else code


def start_abandoned(site: Site, report: Report) -> None:
    """Start the services that a killed run had stopped; called with the lock held."""
    for record in site.journal.records():
        names = _left_stopped(record)
        if not names:
            continue
        try:
            site.services().start(names, report)
        except OpsError as error:
            report.warn(f"a killed run left {', '.join(names)} stopped: {error.message}")
            continue
        site.journal.update(replace(record, details={**record.details, STOPPED: []}))


def _left_stopped(record: RunRecord) -> tuple[str, ...]:
    names = record.details.get(STOPPED)
    if record.result is not Result.KILLED or not isinstance(names, list):
        return ()
    return tuple(str(name) for name in names)
