"""What a restore of a whole database would do, and whether it can; nothing is changed here."""

from __future__ import annotations

from dataclasses import replace

from archon_ops.actions.restoring.checks import (
    check_extensions,
    check_roles,
    check_room,
    common_notes,
    estimate,
    holds_archon,
    identity,
    identity_notes,
    no_room_to_keep,
)
from archon_ops.actions.restoring.losing import Losses, losses
from archon_ops.actions.restoring.request import Request
from archon_ops.actions.restoring.target import Target, examine_target
from archon_ops.errors import PreconditionError
from archon_ops.model.backup import Backup
from archon_ops.model.plan import ARCHON, DATABASE, RestorePlan, target_of
from archon_ops.postgres import attributes, databases, obstacles
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from archon_ops.postgres.toc import Contents
from archon_ops.site import Site
from archon_ops.storage.reference import Located


def plan_whole(
    site: Site, server: Server, located: Located, request: Request, contents: Contents
) -> tuple[RestorePlan, Target]:
    """Steps 2 and 3 of the document: the server, its readiness.

    Raises:
        UntrustworthyError: the backup is another server's.
        PreconditionError: something that it needs is missing.
    """
    site.report.phase("restore.prerequisites", "Prerequisites Check")
    backup, database = located.backup, request.database or site.database
    in_place = not request.beside(site)
    target = _without_parts(examine_target(site, server, backup, database, in_place=in_place))
    with server.connect(databases.MAINTENANCE) as connection:
        obstacles.require_switchable(connection, database)
        _check_needs(server, connection, backup, contents, target)
        size = backup.manifest.database_bytes if backup.manifest else None
        needed, free = check_room(site, server, connection, size)
    notes = identity_notes(server, backup, target, request.trust)
    lost = _losses(site, server, backup, target)
    crowded = no_room_to_keep(needed, free) if in_place and target.exists else []
    notes += (
        crowded + _notes(server, backup, target) + common_notes(site, backup, in_place=in_place)
    )
    planned = RestorePlan(
        target=target_of(site.name, server.host, database, target.system_identifier),
        scope=DATABASE,
        database=database,
        in_place=in_place,
        target_exists=target.exists,
        backup=backup,
        path=str(located.path),
        identities=(identity(backup), target.system_identifier),
        estimated_seconds=estimate(site, backup),
        losses=lost.tables,
        basis=lost.basis,
        counted=lost.counted,
        dropped=tuple((kept.name, kept.size_bytes) for kept in target.dropped),
        notes=tuple(notes),
        needed_bytes=needed,
        free_bytes=free,
        safety=in_place and target.exists and (bool(crowded) or holds_archon(server, target)),
        keeps=not crowded,
    )
    return planned, target


def _without_parts(target: Target) -> Target:
    """Schemas that are kept in the database leave with it, and are not dropped one by one."""
    return replace(target, dropped=tuple(k for k in target.dropped if k.scope != ARCHON))


def _check_needs(
    server: Server, connection: Connection, backup: Backup, contents: Contents, target: Target
) -> None:
    """Extensions and roles that the dump names, on the target."""
    check_extensions(server, connection, contents.extensions, target.database)
    roles = set(backup.manifest.roles if backup.manifest else ())
    if target.attributes:
        own = target.attributes
        roles |= {own.owner, *(s.role for s in own.settings if s.role)}
    check_roles(connection, roles, target.database)
    _check_owners(connection, contents, target, roles)


def _check_owners(
    connection: Connection, contents: Contents, target: Target, roles: set[str]
) -> None:
    """What is restored has to be given to its owners, which not every role may do."""
    owners = tuple(sorted(contents.owners(roles)))
    if closed := obstacles.unassumable(connection, owners):
        raise PreconditionError(
            f"the role {connection.info.user} lacks the privilege to own what belongs to "
            f"{', '.join(closed)}; database {target.database} was not touched",
            'restore as a superuser: user = "NAME" of the source in archon.toml',
        )


def _losses(site: Site, server: Server, backup: Backup, target: Target) -> Losses:
    if not target.exists:
        return Losses((), f"there is no database {target.database} now", counted=True)
    if target.unreadable:
        return Losses((), target.unreadable, counted=False)
    return losses(site, server, target.database, backup, target.system_identifier)


def _notes(server: Server, backup: Backup, target: Target) -> list[str]:
    notes = []
    with server.connect(databases.MAINTENANCE) as connection:
        slots = obstacles.slots_of(connection, target.database)
    if slots:
        notes.append(f"logical replication slots stay with the old database: {', '.join(slots)}")
    if not target.exists and len(target.dropped) < len(target.kept):
        notes.append(
            f"{target.kept[0].name} is kept from an earlier restore: inv undo would bring that back"
        )
    if backup.manifest and not target.exists:
        notes += [
            f"setting {name} has to be set again by hand: its value is a secret that only the dump "
            f"holds (pg_restore --create --file=- {backup.name} | grep ALTER)"
            for name in attributes.withheld(backup.manifest.attributes)
        ]
    return notes
