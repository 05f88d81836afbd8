"""What a restore of Archon's objects would do, and whether it can; nothing is changed here."""

from __future__ import annotations

from dataclasses import dataclass

from archon_ops.actions.restoring.checks import (
    check_extensions,
    check_roles,
    check_room,
    common_notes,
    estimate,
    identity,
    identity_notes,
    no_room_to_keep,
)
from archon_ops.actions.restoring.losing import losses
from archon_ops.actions.restoring.request import Request
from archon_ops.actions.restoring.target import Target, examine_target
from archon_ops.errors import PreconditionError
from archon_ops.model.backup import Backup
from archon_ops.model.plan import ARCHON, RestorePlan, target_of
from archon_ops.postgres.archon import publications, staging
from archon_ops.postgres.archon.definitions import read_definitions
from archon_ops.postgres.archon.dependants import dependants
from archon_ops.postgres.archon.entries import Selection, read_entries, select
from archon_ops.postgres.archon.move import neighbours_hang
from archon_ops.postgres.archon.objects import archons
from archon_ops.postgres.archon.privileges import assumable, missing_privileges
from archon_ops.postgres.archon.trial import try_event_triggers, try_routines
from archon_ops.postgres.inventory import read_extensions
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from archon_ops.postgres.toc import Contents
from archon_ops.site import Site
from archon_ops.storage.reference import Located


@dataclass(frozen=True)
class Archon:
    """What the checks found out about Archon in the live database.

    Attributes:
        target: the database.
        selection: what of the dump is needed.
        owners: roles that will own what comes.
        shared: labels of routines that neighbours use too.
        leaves: whether there is anything that leaves service.
    """

    target: Target
    selection: Selection
    owners: frozenset[str]
    shared: frozenset[str]
    leaves: bool


def plan_archon(
    site: Site, server: Server, located: Located, request: Request, contents: Contents
) -> tuple[RestorePlan, Archon]:
    """Everything that has to be true, looked at before anything is changed.

    Raises:
        UntrustworthyError: the backup is another server's.
        PreconditionError: something is missing, or neighbours hang on Archon's objects.
    """
    site.report.phase("restore.prerequisites", "Prerequisites Check")
    backup, database = located.backup, site.database
    target = examine_target(site, server, backup, database, in_place=True)
    _require_open(target)
    with server.connect(database) as connection:
        selection = _selected(site, server, located)
        if not contents.archon_tables:
            raise PreconditionError(
                f"{backup.name} holds no table of Archon's", "inv restore … --scope database"
            )
        found, leaving = _examine(server, connection, backup, selection, target)
        published = publications.wide(connection)
        needed, free = check_room(site, server, connection, archon_bytes(backup))
    notes = identity_notes(server, backup, target, request.trust)
    lost = losses(site, server, database, backup, target.system_identifier, archon=True)
    wanted = found.leaves and bool(site.settings.kept_for)
    crowded = no_room_to_keep(needed, free) if wanted else []
    keeps = wanted and not crowded
    planned = RestorePlan(
        target=target_of(site.name, server.host, database, target.system_identifier),
        scope=ARCHON,
        database=database,
        in_place=True,
        target_exists=True,
        backup=backup,
        path=str(located.path),
        identities=(identity(backup), target.system_identifier),
        estimated_seconds=estimate(site, backup),
        losses=lost.tables,
        basis=lost.basis,
        counted=lost.counted,
        dropped=tuple((kept.name, kept.size_bytes) for kept in target.dropped),
        notes=(
            *notes,
            *crowded,
            *_shared_notes(found),
            *published,
            *common_notes(site, backup, in_place=True),
        ),
        leaving=leaving,
        needed_bytes=needed,
        free_bytes=free,
        safety=found.leaves and not keeps,
        keeps=keeps,
    )
    return planned, found


def _selected(site: Site, server: Server, located: Located) -> Selection:
    tools = site.tools_for(server.programs.major)
    return select(read_entries(tools, located.path, read_definitions(tools, located.path)))


def _require_open(target: Target) -> None:
    if not target.exists:
        raise PreconditionError(
            f"there is no database {target.database} to restore Archon into",
            "inv restore … --scope database makes it",
        )
    if target.unreadable:
        raise PreconditionError(
            f"database {target.database} lets nobody in: {target.unreadable}",
            "inv restore … --scope database puts a whole one in its place",
        )


def _examine(
    server: Server, connection: Connection, backup: Backup, selection: Selection, target: Target
) -> tuple[Archon, tuple[str, ...]]:
    """Extensions, roles, neighbours, rights; answers also what is live and not in the backup."""
    check_extensions(server, connection, selection.extensions, target.database)
    _check_installed(connection, backup, selection)
    owners = selection.owners(backup.manifest.roles if backup.manifest else assumable(connection))
    check_roles(connection, set(backup.manifest.roles if backup.manifest else ()), target.database)
    things = archons(connection, selection.labels)
    hanging = dependants(connection, things)
    if hanging.others:
        raise neighbours_hang(hanging.others)
    shared = frozenset(r.label for r in things.routines if r.oid in hanging.shared)
    if lacking := missing_privileges(connection, things, owners, shared):
        raise PreconditionError(
            f"the role {connection.info.user} may not exchange Archon's objects; nothing was "
            "touched",
            f"have an administrator run: {'; '.join(lacking)}",
        )
    try_routines(connection, selection.routines(shared))
    try_event_triggers(connection, staging.staging_name(server.run_id))
    leaving = things.without(hanging.shared)
    unknown = tuple(sorted(leaving.labels - selection.labels))
    return Archon(target, selection, owners, shared, bool(leaving.all)), unknown


def _check_installed(connection: Connection, backup: Backup, selection: Selection) -> None:
    """What Archon stands on has to stand where it stood."""
    there = {e.name: e.schema for e in read_extensions(connection)}
    then = {e.name: e.schema for e in backup.manifest.extensions} if backup.manifest else {}
    for name in selection.extensions:
        schema = then.get(name, there.get(name, "public"))
        if name not in there:
            raise PreconditionError(
                f"database {connection.info.dbname} has not the extension {name}, which Archon "
                "needs; nothing was touched",
                f'inv psql --command \'CREATE EXTENSION "{name}" WITH SCHEMA "{schema}"\'',
            )
        if there[name] != schema:
            raise PreconditionError(
                f"extension {name} is in schema {there[name]}, and was in {schema} when the backup "
                "was taken; nothing was touched",
                f'move it: ALTER EXTENSION "{name}" SET SCHEMA "{schema}"; or restore with '
                "--scope database",
            )


def _shared_notes(found: Archon) -> list[str]:
    return [
        f"{label} is used by neighbours too: it stays, and gets the backup's definition"
        for label in sorted(found.shared)
    ]


def archon_bytes(backup: Backup) -> int | None:
    """Bytes of Archon's tables, as far as the backup tells."""
    if backup.manifest is None:
        return None
    sizes = backup.manifest.sizes
    return sum(s.total_bytes for s in sizes if s.table.startswith("archon_"))
