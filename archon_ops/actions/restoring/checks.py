"""What has to be true before a restore of either scope, and what a person should know of it."""

from __future__ import annotations

from archon_ops.actions.examining import check_bytes
from archon_ops.actions.instructions import identifier
from archon_ops.actions.restoring.target import Target
from archon_ops.errors import PreconditionError, UntrustworthyError
from archon_ops.model.backup import Backup
from archon_ops.model.units import human_size
from archon_ops.postgres import facts
from archon_ops.postgres.sandbox import missing_extensions, missing_roles
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection, scalar
from archon_ops.postgres.toc import Contents, read_contents
from archon_ops.site import Site
from archon_ops.storage.reference import Located
from archon_ops.storage.sniff import require_custom_format
from archon_ops.storage.space import free_bytes

# Measured once: loading, indexing and proving runs at about this rate, behind a second to start.
_BYTES_PER_SECOND = 25 << 20
_LEAST_SECONDS = 3.0
# The rows, the indexes, and what sorting them takes on the way.
_ROOM = 1.2
# Share of that which stays free for whatever else is written while both are there.
_SPARE = 0.5
# Where images keep the data, for a role that may not ask.
_DATA_FOLDER = "/var/lib/postgresql/data"


def validate(site: Site, server: Server, located: Located) -> Contents:
    """The file: its format, its bytes, its table of contents, its major version.

    Raises:
        UntrustworthyError: it is not what was written.
        PreconditionError: the server is too old for it.
    """
    site.report.phase("restore.validate", "Validating the backup")
    require_custom_format(located.path)
    manifest = located.backup.manifest
    if manifest:
        check_bytes(site, located.path, manifest)
        _require_major(manifest.server.major, server.programs.major)
    contents = read_contents(site.tools_for(server.programs.major), located.path)
    _require_major(contents.server_major, server.programs.major)
    site.report.ok(f"{contents.entries} entries, {contents.archon_tables} Archon tables")
    return contents


def _require_major(backup: int, server: int) -> None:
    if backup > server:
        raise PreconditionError(
            f"the backup is of PostgreSQL {backup}, the server is PostgreSQL {server}: "
            "older servers do not understand it",
            f"restore it on PostgreSQL {backup} or newer: inv restore … --source NAME",
        )


def check_extensions(
    server: Server, connection: Connection, extensions: tuple[str, ...], database: str
) -> None:
    """Extensions that the dump needs, on the server.

    Raises:
        PreconditionError: it does not offer one.
    """
    major = server.programs.major
    if lacking := missing_extensions(connection, extensions):
        packages = {"vector": f"postgresql-{major}-pgvector"}
        install = ", ".join(packages.get(e, f"the package of {e}") for e in lacking)
        raise PreconditionError(
            f"the server lacks the extension {', '.join(lacking)}, which the backup needs; "
            f"database {database} was not touched",
            f"install {install} for PostgreSQL {major} on the server's machine",
        )


def check_roles(connection: Connection, roles: set[str], database: str) -> None:
    """Roles that the dump names, on the server.

    Raises:
        PreconditionError: one is missing; says how it is made.
    """
    if absent := missing_roles(connection, tuple(sorted(roles))):
        statements = "; ".join(f"CREATE ROLE {identifier(r)} NOLOGIN" for r in absent)
        raise PreconditionError(
            f"the server lacks the roles {', '.join(absent)}, which the backup names; "
            f"database {database} was not touched",
            f"have an administrator run: {statements}",
        )


def check_room(
    site: Site, server: Server, connection: Connection, size: int | None
) -> tuple[int | None, int | None]:
    """Room for what is built beside, where it can be seen from here.

    Args:
        site: is told.
        server: where.
        connection: session on the server.
        size: bytes of what is built; None where nobody wrote it down.

    Returns:
        Bytes needed and bytes free; None for what cannot be told.

    Raises:
        PreconditionError: it is not enough.
    """
    free = free_bytes(server.data_folder) if server.data_folder else _free_there(server)
    if size is None:
        return None, free
    log = int(scalar(connection, "SELECT pg_size_bytes(current_setting('max_wal_size'))"))
    # Everything is also written to the log, which is cut back when it reaches its limit.
    needed = round(size * _ROOM) + min(size, log)
    if free is not None and free < needed:
        raise PreconditionError(
            f"not enough room in {server.data_folder or _DATA_FOLDER}: about {human_size(needed)} "
            f"needed for a second copy and its log, {human_size(free)} free",
            "free some space; inv undo --finalize drops what an earlier restore kept",
        )
    told = "unknown" if free is None else f"{human_size(free)} free"
    site.report.ok(f"{told}, about {human_size(needed)} needed")
    return needed, free


def no_room_to_keep(needed: int | None, free: int | None) -> list[str]:
    """Why what leaves cannot stay beside what comes; nothing where it can, or nobody can tell.

    Args:
        needed: bytes that a restore takes.
        free: bytes that are free before it.
    """
    if needed is None or free is None or free - needed >= needed * _SPARE:
        return []
    return [
        f"only {human_size(free - needed)} would be free with old and new side by side: what is "
        "there now is saved into safety/, and dropped once the new is in service; no inv undo"
    ]


def _free_there(server: Server) -> int | None:
    return server.programs.free_bytes(_DATA_FOLDER)


def identity(backup: Backup) -> str | None:
    """System identifier of the server that a backup came from; None where it is not known."""
    return backup.manifest.server.system_identifier if backup.manifest else None


def identity_notes(server: Server, backup: Backup, target: Target, trust: bool) -> list[str]:
    """A backup of another server must not silently replace an Archon that lives here.

    Raises:
        UntrustworthyError: it would.
    """
    manifest, ours = backup.manifest, target.system_identifier
    if manifest is None:
        return []
    theirs, name = manifest.server.system_identifier, manifest.server.database
    if theirs == ours:
        other = f"the backup is of database {name}, and goes into database {target.database}"
        return [other] if name != target.database else []
    told = (
        f"the backup is of server {theirs} ({manifest.source}), the target is server {ours} "
        f"({server.host})"
    )
    if not target.exists:
        return [f"{told}; it has no database {target.database}: a new home"]
    if not holds_archon(server, target):
        return [f"{told}; it holds no Archon rows: a new home"]
    if trust:
        return [f"{told}, and holds an Archon of its own, which is replaced (--trust)"]
    raise UntrustworthyError(
        f"{told}, which holds an Archon of its own; nothing was changed",
        "if this Archon is really to be replaced by that one, add --trust",
    )


def holds_archon(server: Server, target: Target) -> bool:
    """Whether there is a row of Archon's in the target, or nobody can tell."""
    if target.unreadable:
        return True
    with server.connect(target.database) as connection:
        return any(facts.has_rows(connection, t) for t in facts.archon_tables(connection))


def common_notes(site: Site, backup: Backup, *, in_place: bool) -> list[str]:
    """What a person should know before either scope."""
    notes = []
    if backup.manifest is None:
        notes.append("nothing of its content can be proven: it has no manifest to believe")
    elif not backup.trustworthy:
        notes.append("an earlier check of this backup failed; just now its bytes were right")
    if backup.manifest:
        notes += [f"not covered by this backup: {name}" for name in backup.manifest.not_covered]
    if in_place:
        notes.append(f"services: {_services(site)}")
    return notes


def _services(site: Site) -> str:
    """Which services will be stopped meanwhile, and started again."""
    if not (site.source.services or site.source.services_project):
        return "none are configured for this source, so none are stopped"
    running = [c.name for c in site.services().existing() if c.running]
    return f"{', '.join(running)} are stopped meanwhile" if running else "none of them runs"


def estimate(site: Site, backup: Backup) -> float:
    """From the last restore of this source, else from a rate measured once. Seconds."""
    size = backup.manifest.database_bytes if backup.manifest else backup.size_bytes * 3
    for record in site.journal.records():
        rate = record.details.get("bytes_per_second")
        if record.action == "restore" and isinstance(rate, int | float) and rate > 0:
            return max(_LEAST_SECONDS, size / rate)
    return max(_LEAST_SECONDS, size / _BYTES_PER_SECOND)
