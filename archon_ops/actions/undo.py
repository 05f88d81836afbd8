"""Take the last restore back: what it replaced returns; a second undo is the redo."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from archon_ops.actions.expiry import drop_kept
from archon_ops.actions.keeping import remember_kept
from archon_ops.actions.quiet import services_stopped, with_services
from archon_ops.actions.recording import Recording, recorded, sweep_server
from archon_ops.actions.service import saying_what_serves, saying_which_archon_serves
from archon_ops.actions.undoing.archon import plan_archon, undo_archon
from archon_ops.actions.undoing.cluster import plan_cluster, undo_cluster
from archon_ops.actions.undoing.plan import UndoPlan
from archon_ops.actions.undoing.whole import plan_whole, undo_whole
from archon_ops.errors import ExitCode, PreconditionError
from archon_ops.model.plan import ARCHON, target_of
from archon_ops.postgres import databases, facts
from archon_ops.postgres.generations import generations
from archon_ops.postgres.kept import CLUSTER, Kept
from archon_ops.postgres.server import Server
from archon_ops.site import Site

__all__ = ["UndoPlan", "Undone", "finalize", "listed", "plan", "undo"]


@dataclass(frozen=True)
class Undone:
    """An undo that was done."""

    plan: UndoPlan
    kept: Kept | None
    seconds: float
    exit_code: ExitCode


Confirm = Callable[[UndoPlan], None]


def listed(site: Site) -> tuple[Kept, ...]:
    """What could come back, newest first."""
    with site.server() as server:
        return generations(server, site.database)


def plan(site: Site) -> UndoPlan:
    """Check and plan, and change nothing."""
    with site.server() as server:
        return _planned(site, server)


def undo(site: Site, confirm: Confirm) -> Undone:
    """Bring what was kept last back into service.

    Raises:
        PreconditionError: nothing is kept; or Archon was migrated since.
        LockedError: sessions are in the way; nothing was changed.
    """
    with recorded(site, "undo") as run:
        with run.site.server() as server:
            sweep_server(run.site, server)
            planned = _planned(run.site, server)
            confirm(planned)
            began = time.monotonic()
            run.details["scope"] = planned.kept.scope
            if planned.kept.scope != CLUSTER:
                kept = _undone(run, server, planned)
        if planned.kept.scope == CLUSTER:
            kept = _cluster_undone(run, planned)
        run.exit_code = with_services(run.details, ExitCode.DONE)
        return Undone(planned, kept, time.monotonic() - began, run.exit_code)


def _undone(run: Recording, server: Server, planned: UndoPlan) -> Kept | None:
    with (
        _saying_what_serves(run, server, planned),
        services_stopped(run.site, run.details),
    ):
        run.site.report.phase("undo.switch", f"Switching {planned.kept.database} back")
        kept = _switch(run, server, planned)
        run.details["brought_back"] = planned.kept.name
        remember_kept(run.site, run.details, server)
        run.site.report.step("undo.switched", "what was kept is in service again")
    return kept


def _cluster_undone(run: Recording, planned: UndoPlan) -> Kept:
    """The same with a server that is stopped in between, and whose address may change by that."""
    with services_stopped(run.site, run.details):
        run.site.report.phase("undo.switch", "Bringing the whole cluster back")
        kept = undo_cluster(run, planned)
        run.details["brought_back"] = planned.kept.name
        with run.site.server() as server:
            remember_kept(run.site, run.details, server)
        run.site.report.step("undo.switched", "what was kept is in service again")
    return kept


def _saying_what_serves(
    run: Recording, server: Server, planned: UndoPlan
) -> AbstractContextManager[None]:
    database = planned.kept.database
    if planned.kept.scope == ARCHON:
        leaving = databases.kept_name(run.site.run_id)
        return saying_which_archon_serves(server, database, leaving)
    return saying_what_serves(server, database, planned.oid)


def _switch(run: Recording, server: Server, planned: UndoPlan) -> Kept | None:
    if planned.kept.scope == ARCHON:
        return undo_archon(run, server, planned)
    return undo_whole(run.site, server, planned)


def finalize(site: Site, confirm: Callable[[tuple[Kept, ...], str], None]) -> tuple[Kept, ...]:
    """Drop what is kept; there is no undo after that."""
    with recorded(site, "finalize") as run, run.site.server() as server:
        with server.connect(databases.MAINTENANCE) as connection:
            identifier = facts.system_identifier(connection)
        kept = generations(server, site.database)
        if not kept:
            raise PreconditionError(
                f"nothing is kept for database {site.database}", "inv undo --list"
            )
        confirm(kept, target_of(site.name, server.host, site.database, identifier))
        run.site.report.phase("undo.finalize", "Dropping what is kept")
        drop_kept(run.site, server, kept)
        remember_kept(run.site, run.details, server)
        return kept


def _planned(site: Site, server: Server) -> UndoPlan:
    site.report.phase("undo.prerequisites", "Prerequisites Check")
    kept = generations(server, site.database)
    if not kept:
        raise PreconditionError(
            f"nothing to undo: no earlier state of database {site.database} is kept",
            "inv backups lists what can be restored",
        )
    if kept[0].scope == CLUSTER:
        return plan_cluster(site, server, kept[0])
    if kept[0].scope == ARCHON:
        return plan_archon(site, server, kept[0])
    return plan_whole(site, server, kept[0])
