"""Count what a restore would take out of service, as exactly as can be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from archon_ops.model.backup import Backup
from archon_ops.model.plan import ARCHON, Loss
from archon_ops.model.units import zulu
from archon_ops.postgres import databases, facts
from archon_ops.postgres.archon.objects import PREFIX, SCHEMA
from archon_ops.postgres.generations import generations
from archon_ops.postgres.losses import Newer, since_snapshot, since_time
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from archon_ops.site import Site

EXACT = "counted by transaction ids"
BY_TIME = "counted by time columns and numbers of rows: at least so many"


@dataclass(frozen=True)
class Losses:
    """What leaves service.

    Attributes:
        tables: one entry for each table, live or in the backup.
        basis: how that was counted, or why it could not be.
        counted: whether it could be counted at all.
    """

    tables: tuple[Loss, ...]
    basis: str
    counted: bool


def losses(
    site: Site,
    server: Server,
    database: str,
    backup: Backup,
    system_identifier: str,
    *,
    archon: bool = False,
) -> Losses:
    """What leaves service, by table, and how that was counted.

    Args:
        site: with its records.
        server: where.
        database: the live one.
        backup: what comes instead.
        system_identifier: of the server.
        archon: whether only they are looked at.
    """
    limit = site.settings.deadlines.proof
    snapshot = _snapshot_of(server, database, backup, system_identifier, _moved_at(site))
    with server.connect(database) as connection:
        scope = _archons(connection) if archon else Scope()
        if snapshot:
            live = since_snapshot(connection, scope, snapshot, timeout=limit)
        else:
            moment = zulu(backup.taken_at)
            live = since_time(connection, scope, moment, timeout=limit)
    wanted = {t.name: t.rows for t in backup.manifest.tables} if backup.manifest else {}
    if archon:
        wanted = {name: n for name, n in wanted.items() if name.startswith(f"{SCHEMA}.{PREFIX}")}
    known = backup.manifest is not None
    return Losses(_against(wanted, known, live), EXACT if snapshot else BY_TIME, counted=True)


def _moved_at(site: Site) -> datetime | None:
    """When Archon's objects alone were last exchanged; None: never, as far as records tell."""
    moves = (
        record.started_at
        for record in site.journal.records()
        if record.details.get("scope") == ARCHON and "kept" in record.details
    )
    return max(moves, default=None)


def _archons(connection: Connection) -> Scope:
    return Scope(only=tuple((SCHEMA, table) for table in facts.archon_tables(connection)))


def _snapshot_of(
    server: Server,
    database: str,
    backup: Backup,
    system_identifier: str,
    moved_at: datetime | None,
) -> str | None:
    """The snapshot after which every writer is newer than the backup; None if there is none.

    Either the backup was taken of these very rows, or these rows were made from the backup.
    """
    manifest = backup.manifest
    if manifest is None or manifest.server.system_identifier != system_identifier:
        return None
    kept = generations(server, database)
    with server.connect(databases.MAINTENANCE) as connection:
        oid = databases.oid_of(connection, database)
    moved = next((k for k in kept if k.scope == "archon"), None)
    if moved and moved.kept_at > manifest.snapshot_at:
        return moved.snapshot if moved.replaced_by == backup.name else None
    if moved_at and moved_at > manifest.snapshot_at:
        return None  # its mark has gone, but the rows are not those that were backed up
    if oid == manifest.server.database_oid:
        return manifest.snapshot
    made = next((k for k in kept if k.successor_oid == oid and k.replaced_by == backup.name), None)
    return made.snapshot if made else None


def _against(wanted: dict[str, int], known: bool, live: tuple[Newer, ...]) -> tuple[Loss, ...]:
    there = {f"{n.schema}.{n.table}": n for n in live}
    found = []
    for name in sorted(wanted.keys() | there.keys()):
        rows, now = wanted.get(name), there.get(name)
        if now is None:
            found.append(Loss(name, None, rows, 0, 0))
        else:
            # More rows than the backup has cannot all be in it; a table that it lacks goes whole.
            surplus = max(0, (now.rows or 0) - (rows or 0)) if known else 0
            found.append(Loss(name, now.rows, rows, now.newer, surplus, now.problem))
    return tuple(found)
