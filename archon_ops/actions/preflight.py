"""Everything that must be true before a backup begins, checked in one place."""

from __future__ import annotations

from dataclasses import dataclass

from archon_ops.errors import LockedError, PreconditionError
from archon_ops.model.units import human_size
from archon_ops.postgres import facts
from archon_ops.postgres.locks import lock_room
from archon_ops.postgres.scope import Scope, resolve
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection, scalar
from archon_ops.site import Site
from archon_ops.storage.space import free_bytes

# The document asks for room of ten times a backup's size; below that we warn.
_COMFORT = 10
# How much larger than the last one the next backup may become without surprising us.
_GROWTH = 1.3


@dataclass(frozen=True)
class Readiness:
    """What the checks found out.

    Attributes:
        scope: what is left out.
        archon_tables: Archon's tables in schema public.
        expected_bytes: about how large the dump will be.
        free_bytes: room in the backup directory.
        version: the server's.
        database_bytes: size of the database.
    """

    scope: Scope
    archon_tables: tuple[str, ...]
    expected_bytes: int
    free_bytes: int
    version: str
    database_bytes: int


def check(
    site: Site,
    server: Server,
    exclude_schemas: tuple[str, ...],
    exclude_tables: tuple[str, ...],
    *,
    allow_empty: bool,
) -> Readiness:
    """Check server, database, rights, migrations and room.

    Raises:
        PreconditionError: something is missing; says what.
        LockedError: a migration runs.
        UsageError: an exclusion fits nothing.
    """
    with server.connect(site.database) as connection:
        version = str(scalar(connection, "SELECT current_setting('server_version')"))
        site.report.ok(f"PostgreSQL {version} is ready ({server.kind} {server.host})")
        site.report.ok(f"Database {site.database} exists")
        scope = _scope(site, connection, exclude_schemas, exclude_tables)
        tables = facts.archon_tables(connection)
        _check_rights(connection, scope)
        _check_migration(connection, tables, site.settings.deadlines.lock)
        _check_content(site, connection, tables, allow_empty)
        _check_locks(connection, scope)
        database_bytes = facts.database_bytes(connection)
        expected = _expected_bytes(site, connection, scope, database_bytes)
    free = _check_room(site, expected)
    return Readiness(scope, tables, expected, free, version, database_bytes)


def _scope(
    site: Site, connection: Connection, schemas: tuple[str, ...], tables: tuple[str, ...]
) -> Scope:
    scope = resolve(
        connection,
        tuple(dict.fromkeys((*site.source.exclude_schemas, *schemas))),
        tuple(dict.fromkeys((*site.source.exclude_tables, *tables))),
    )
    for name in scope.names:
        site.report.warn(f"not covered by this backup: {name}")
    return scope


def _check_content(
    site: Site, connection: Connection, tables: tuple[str, ...], allow_empty: bool
) -> None:
    rows = sum(facts.has_rows(connection, table) for table in tables)
    if rows or allow_empty:
        site.report.ok(f"{len(tables)} Archon tables, {rows} of them with rows")
        return
    what = "all its Archon tables are empty" if tables else "it has no table archon_*"
    raise PreconditionError(
        f"database {site.database} of source {site.name} is no Archon: {what}",
        "is it the right database? To back it up all the same: --allow-empty",
    )


def _check_rights(connection: Connection, scope: Scope) -> None:
    hidden = facts.unreadable(connection, scope)
    if not hidden:
        return
    names = "; ".join(f"{item.name} ({item.reason})" for item in hidden[:5])
    more = f" and {len(hidden) - 5} more" if len(hidden) > 5 else ""
    raise PreconditionError(
        f"the role cannot read everything: {names}{more}",
        "use another role, or leave them out with --exclude-schema or --exclude-table",
    )


def _check_locks(connection: Connection, scope: Scope) -> None:
    room = lock_room(connection, scope)
    if not room.enough:
        raise PreconditionError(
            f"the database has too many tables for the server: a dump takes about {room.needed} "
            f"table locks at once, and there is room for {room.available}",
            f"ALTER SYSTEM SET max_locks_per_transaction = {room.wanted}; then restart PostgreSQL",
        )


def _check_migration(connection: Connection, tables: tuple[str, ...], seconds: float) -> None:
    who = facts.wait_for_migration(connection, tables, seconds)
    if who:
        raise LockedError(
            f"a migration seems to run: waited {seconds:.0f} s, and {who}",
            "let it end, or end it: inv psql --command 'SELECT pg_terminate_backend(PID)'; "
            "then run the command again",
        )


def _expected_bytes(site: Site, connection: Connection, scope: Scope, database_bytes: int) -> int:
    """From the last backup of this database if there is one, else all bytes but the indexes."""
    last = site.directory.catalog().newest_trustworthy()
    manifest = last.manifest if last else None
    if manifest and manifest.server.system_identifier == facts.system_identifier(connection):
        growth = database_bytes / max(1, manifest.database_bytes)
        return round(manifest.size_bytes * max(growth, 1.0) * _GROWTH)
    return sum(s.heap_bytes + s.toast_bytes for s in facts.table_sizes(connection, scope))


def _check_room(site: Site, expected: int) -> int:
    free = free_bytes(site.directory.path)
    if free < expected:
        raise PreconditionError(
            f"not enough room in {site.directory.path}: about {expected} bytes needed "
            f"({human_size(expected)}), {free} bytes free ({human_size(free)})",
            "free some space, or choose another --backup-dir",
        )
    if free < expected * _COMFORT:
        site.report.warn(f"only {human_size(free)} free: less than room for {_COMFORT} backups")
    else:
        site.report.ok(f"{human_size(free)} free, about {human_size(expected)} needed")
    return free
