"""Where a backup goes, as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archon_ops.actions.expiry import expired
from archon_ops.errors import OpsError, PreconditionError
from archon_ops.model.backup import Backup
from archon_ops.postgres import attributes, databases, facts
from archon_ops.postgres.attributes import Attributes
from archon_ops.postgres.generations import generations
from archon_ops.postgres.kept import CLUSTER, Kept
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from archon_ops.site import Site


@dataclass(frozen=True)
class Target:
    """What the checks found out about where the backup goes.

    Attributes:
        database: its name.
        oid: of the database that bears it now; None where there is none.
        system_identifier: of the server.
        attributes: what the restored database shall have of its own; None leaves the defaults.
        wanted: the same as a proof compares it; None where nothing is compared.
        comment: what the restored database shall be commented with.
        unreadable: why the present database cannot be looked into; empty where it can.
        dropped: what is kept, and goes when this restore is done.
        kept: all that is kept under this name.
    """

    database: str
    oid: int | None
    system_identifier: str
    attributes: Attributes | None
    wanted: Mapping[str, str] | None
    comment: str | None
    unreadable: str
    dropped: tuple[Kept, ...]
    kept: tuple[Kept, ...]

    @property
    def exists(self) -> bool:
        """Whether there is a database of that name."""
        return self.oid is not None


def examine_target(
    site: Site, server: Server, backup: Backup, database: str, *, in_place: bool
) -> Target:
    """Look at the server, and at the database that bears the name now.

    Raises:
        PreconditionError: it must not be there, and is.
    """
    with server.connect(databases.MAINTENANCE) as connection:
        major = facts.version_num(connection) // 10000
        site.report.ok(f"PostgreSQL {major} is ready ({server.kind} {server.host})")
        oid = databases.oid_of(connection, database)
        if oid is not None and not in_place:
            raise PreconditionError(
                f"database {database} exists already; --database never overwrites one",
                "choose another name, or drop that database by hand",
            )
        own, wanted, comment = _attributes(connection, backup, database, oid, in_place=in_place)
        identifier = facts.system_identifier(connection)
    kept = generations(server, database)
    # With nothing to keep this time, what is kept stays worth keeping until its time is over.
    dropped = expired(kept, site.settings.kept_for, site.clock())
    if oid is not None:
        # A whole cluster also holds what neighbours lost: it is not this restore's to drop.
        dropped = tuple(k for k in kept if k.scope != CLUSTER or k in dropped)
    unreadable = _unreadable(server, database) if oid is not None else ""
    return Target(database, oid, identifier, own, wanted, comment, unreadable, dropped, kept)


def _attributes(
    connection: Connection, backup: Backup, database: str, oid: int | None, *, in_place: bool
) -> tuple[Attributes | None, Mapping[str, str] | None, str | None]:
    """What the database has of its own: as it is now, or was when it was backed up.

    The comment is left out of what is compared: it comes with the switch.
    """
    if oid is not None:
        now = facts.database_attributes(connection, database)
        own = attributes.read(connection, database)
        return own, {**now, "comment": ""}, databases.comment_of(connection, database)
    if not in_place or backup.manifest is None:
        return None, None, None
    then = backup.manifest.attributes
    own_then = attributes.from_manifest(then)
    known = {key: value for key, value in then.items() if value != attributes.WITHHELD}
    return own_then, {**known, "comment": ""} if own_then else None, then.get("comment") or None


def _unreadable(server: Server, database: str) -> str:
    """Why a database lets nobody in; a restore is the way to mend one that is broken."""
    try:
        with server.connect(database):
            return ""
    except OpsError as error:
        return error.message
