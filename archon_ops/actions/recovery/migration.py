"""A migration again: applied as one transaction, and found in archon-server's log."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from archon_ops.errors import OpsError, UsageError
from archon_ops.postgres.server import Server
from archon_ops.site import Site

_LOG_LINES = 2000
_SHOWN = 20
_WORD = "migration"
_BAD = ("error", "fail", "exception", "traceback")


@dataclass(frozen=True)
class Traces:
    """What archon-server's log says of migrations.

    Attributes:
        container: whose log it is; empty where there is none.
        lines: that speak of a migration, oldest first.
    """

    container: str
    lines: tuple[str, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """Those of them that tell of a failure."""
        return tuple(line for line in self.lines if any(bad in line.lower() for bad in _BAD))


def in_log(site: Site) -> Traces:
    """The lines of archon-server's log that speak of a migration."""
    there = site.services().existing()
    container = next((c for c in there if "server" in c.name), next(iter(there), None))
    if container is None:
        return Traces("", ())
    log = site.engine.logs(container.id, _LOG_LINES)
    lines = tuple(line.strip() for line in log.splitlines() if _WORD in line.lower())
    return Traces(container.name, lines[-_SHOWN:])


def apply(site: Site, file: Path) -> None:
    """Apply a migration's file, all of it or nothing.

    Args:
        site: where.
        file: SQL, as Archon's migration folder holds it.

    Raises:
        UsageError: it is no regular file.
        OpsError: it failed; the database is as before.
    """
    if not _is_regular(file):
        raise UsageError(f"{file} is no file with a migration", "give the path of an SQL file")
    site.report.step("recovery.migration", f"Applying {file.name} in one transaction")
    with site.server() as server, server.staged(file.absolute()) as path:
        _run(site, server, file.name, path)


def recorded_in(site: Site) -> tuple[str, ...]:
    """What archon_migrations says is applied ("version/name"), oldest first."""
    query = sql.SQL(
        """SELECT version || '/' || migration_name FROM public.archon_migrations
           ORDER BY applied_at, version, migration_name"""
    )
    with site.server() as server, server.connect(site.database) as connection:
        return tuple(str(row[0]) for row in connection.execute(query))


def _run(site: Site, server: Server, name: str, path: str) -> None:
    words = ("-X", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction", f"--file={path}")
    with server.spawn("psql", *words, database=site.database) as child:
        done = child.wait(site.settings.deadlines.restore)
    if done.returncode != 0:
        raise OpsError(
            f"migration {name} failed, the database is as before: {done.reason}",
            "correct the file, then repeat this; inv rehearse tries it in a sandbox first",
        )


def _is_regular(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except OSError:
        return False
