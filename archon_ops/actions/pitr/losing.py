"""Who loses what when a recovered cluster takes the place of the live one, before it does."""

from __future__ import annotations

import json
from dataclasses import dataclass

from archon_ops.errors import OpsError
from archon_ops.hosts.described import Container
from archon_ops.model.backup import Manifest
from archon_ops.model.pitr.replacement import DatabaseLoss, ReplacementPlan, settings_of
from archon_ops.model.plan import target_of
from archon_ops.model.units import human_size
from archon_ops.postgres import cluster_losses, databases, facts
from archon_ops.postgres.pitr.sandbox import Room
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.session import scalar
from archon_ops.site import Site

# What the recovery was told stands in the cluster's own settings, and names files of the sandbox.
FORGOTTEN = (
    "restore_command",
    "recovery_target_time",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_timeline",
    "recovery_target_action",
)
_CONFIGURATION = ("postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf")
TIMELINE = "SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()"


@dataclass(frozen=True)
class Recovered:
    """The cluster in the sandbox, as far as its successor's plan needs to know it.

    Attributes:
        moment: in words; as of when it is.
        size_bytes: of all of it.
        snapshot: as it stood before anything was written there.
        timeline: that the recovery followed.
        manifest: of the backup that was taken of it, which was proven.
        scope: what that one covers.
        not_proven: what could not be proven of it.
    """

    moment: str
    size_bytes: int
    snapshot: str
    timeline: int
    manifest: Manifest
    scope: Scope
    not_proven: tuple[str, ...]


def _configuration(room: Room, live: str) -> tuple[str, ...]:
    """Which files of the server's configuration change by it: no moment has them, only a backup."""
    found = []
    for name in _CONFIGURATION:
        now = (room.host.read(f"{live}/{name}") or b"").decode(errors="replace")
        then = (room.host.read(f"{room.inside.data}/{name}") or b"").decode(errors="replace")
        changed = settings_of(now) ^ settings_of(then)
        if any(not line.startswith(FORGOTTEN) for line in changed):
            found.append(name)
    if not found:
        return ()
    return (f"as in the backup, and not as now: {', '.join(found)} of the data directory",)


def planned(
    site: Site, room: Room, container: Container, live_data: str, recovered: Recovered
) -> ReplacementPlan:
    """Who loses what if the live cluster is replaced.

    Args:
        site: of the source.
        room: the sandbox, with the recovered server running in it.
        container: of the live one.
        live_data: its data directory, as the sandbox sees it.
        recovered: what comes.
    """
    query = """SELECT json_agg(datname ORDER BY datname) FROM pg_catalog.pg_database
               WHERE NOT datistemplate"""
    then = tuple(json.loads(room.inside.ask(query)))
    identifier = recovered.manifest.server.system_identifier
    what = f"the cluster as of {recovered.moment}, {human_size(recovered.size_bytes)}"
    notes = tuple(f"not proven: {note}" for note in recovered.not_proven)
    notes += _configuration(room, live_data)
    limit = site.settings.deadlines.proof
    try:
        with site.server() as server:
            with server.connect(databases.MAINTENANCE) as connection:
                now = facts.system_identifier(connection)
                timeline = int(scalar(connection, TIMELINE))
                live = cluster_losses.names(connection)
                slots = cluster_losses.slots(connection)
                size = cluster_losses.size_bytes(connection)
            why = _incomparable(now, identifier, timeline, recovered.timeline)
            snapshot = "" if why else recovered.snapshot
            with room.server() as before:
                losses = cluster_losses.since(
                    server, snapshot, then, why, timeout=limit, before=before
                )
            shared = cluster_losses.shared(server, snapshot, timeout=limit) if snapshot else None
    except OpsError as error:
        target = target_of(site.name, container.name, "", identifier)
        # What there was then is what there is at least: all of it has to be named.
        losses = tuple(DatabaseLoss(name, None, None, problem="no server answers") for name in then)
        return ReplacementPlan(
            target, container.name, what, losses, notes=notes, unknown=error.message
        )
    target = target_of(site.name, container.name, "", now)
    coming = tuple(name for name in then if name not in live)
    return ReplacementPlan(target, container.name, what, losses, coming, slots, size, notes, shared)


def _incomparable(now: str, identifier: str, timeline: int, followed: int) -> str:
    """Why the live server's transactions are not those after the moment; empty where they are."""
    if now != identifier:
        return f"the live server is another one, {now}"
    if timeline != followed:
        return f"the live server is on timeline {timeline}, and timeline {followed} was recovered"
    return ""
