"""Bring a backup back: built beside, proven equal, then switched in; what was there is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from archon_ops.actions.keeping import remember_kept
from archon_ops.actions.quiet import with_services
from archon_ops.actions.recording import recorded, sweep_server
from archon_ops.actions.restoring.archon import restore_archon
from archon_ops.actions.restoring.archon_plan import Archon, plan_archon
from archon_ops.actions.restoring.checks import validate
from archon_ops.actions.restoring.request import Request, locate, scope_of
from archon_ops.actions.restoring.target import Target
from archon_ops.actions.restoring.whole import restore_whole
from archon_ops.actions.restoring.whole_plan import plan_whole
from archon_ops.errors import ExitCode, OpsError, PreconditionError
from archon_ops.model.backup import Backup
from archon_ops.model.plan import ARCHON, RestorePlan
from archon_ops.model.proof import Proof
from archon_ops.postgres import databases, facts
from archon_ops.postgres.kept import Kept
from archon_ops.postgres.server import Server
from archon_ops.site import Site
from archon_ops.storage.reference import Located

__all__ = ["Confirm", "Request", "Restored", "plan", "restore"]

Confirm = Callable[[RestorePlan], None]


@dataclass(frozen=True)
class Restored:
    """A restore that was done.

    Attributes:
        plan: what was planned.
        proof: what was proven before the switch.
        kept: what left service, None where there was nothing.
        seconds: duration from the confirmation on.
        exit_code: DONE, or INCONCLUSIVE where not everything could be proven.
    """

    plan: RestorePlan
    proof: Proof
    kept: Kept | None
    seconds: float
    exit_code: ExitCode


def plan(site: Site, request: Request) -> RestorePlan:
    """Check and plan, and change nothing."""
    located = locate(site, request)
    with site.server() as server:
        return _planned(site, server, located, request)[0]


def restore(site: Site, request: Request, confirm: Confirm) -> Restored:
    """Restore Archon's objects, or a whole database.

    Args:
        site: where.
        request: what.
        confirm: shown the plan before anything is changed; raises to stop.

    Raises:
        UntrustworthyError: the backup, or what came of it, is not what was backed up; the target
            is as it was.
        PreconditionError: live data cannot be read, and nobody agreed to let it go unsaved.
        OpsError: it failed; the message says what is in service.
    """
    locate(site, request)  # what makes no sense is told before anything is locked
    with recorded(site, "restore") as run:
        located = locate(run.site, request)
        with run.site.server(create=site.source.kind == "embedded") as server:
            sweep_server(run.site, server)
            planned, target = _planned(run.site, server, located, request)
            run.details["scope"] = planned.scope
            _require_readable(planned, request)
            confirm(planned)
            began = time.monotonic()
            run.details["backup"] = located.backup.name
            if isinstance(target, Archon):
                proof, kept = restore_archon(run, server, located, planned, target)
            else:
                proof, kept = restore_whole(run, server, located, planned, target)
            remember_kept(run.site, run.details, server)
        run.exit_code = with_services(run.details, _exit_code(located.backup, proof))
        return Restored(planned, proof, kept, time.monotonic() - began, run.exit_code)


def _planned(
    site: Site, server: Server, located: Located, request: Request
) -> tuple[RestorePlan, Target | Archon]:
    contents = validate(site, server, located)
    if scope_of(site, request, inhabited=_inhabited(site, server)) == ARCHON:
        return plan_archon(site, server, located, request, contents)
    return plan_whole(site, server, located, request, contents)


def _inhabited(site: Site, server: Server) -> bool:
    """Whether the source's database is there, and may hold something besides Archon."""
    with server.connect(databases.MAINTENANCE) as connection:
        if databases.oid_of(connection, site.database) is None:
            return False
    try:
        with server.connect(site.database) as connection:
            return not facts.is_empty(connection)
    except OpsError:  # it lets nobody in; nobody can say that it is empty
        return True


def _require_readable(planned: RestorePlan, request: Request) -> None:
    """What cannot be read can neither be counted nor saved first: somebody has to agree."""
    if request.accept_unreadable or not planned.unreadable:
        return
    raise PreconditionError(
        f"live data cannot be read, so it is not known what would be lost: "
        f"{'; '.join(planned.unreadable)}",
        "if it may go as it is, add --accept-unreadable; the old objects are kept all the same",
    )


def _exit_code(backup: Backup, proof: Proof) -> ExitCode:
    proven = backup.manifest is not None and proof.equal and not proof.not_proven
    return ExitCode.DONE if proven else ExitCode.INCONCLUSIVE
