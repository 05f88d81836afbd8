"""Whether the database is in service; and where it is not, what must not be done in haste."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from archon_ops.model.diagnosis import Check, Finding, shell
from archon_ops.model.runs import Result, RunRecord
from archon_ops.postgres.direct import parse_dsn
from archon_ops.postgres.scope import KEPT_PREFIX, SIDE_PREFIX
from archon_ops.postgres.session import Connection
from archon_ops.site import Site

_MOVERS = ("restore", "undo", "finalize")


@dataclass(frozen=True)
class Traces:
    """What may hold the content of a database that is not in service.

    Attributes:
        kept: databases that a restore or an undo took out of service.
        sides: databases that a restore was building.
        unfinished: the last run that moves databases, where it did not end well.
    """

    kept: tuple[str, ...]
    sides: tuple[str, ...]
    unfinished: str

    @property
    def lines(self) -> tuple[str, ...]:
        """What there is, for a person; empty when nothing is."""
        return (
            *((f"kept: {', '.join(self.kept)}",) if self.kept else ()),
            *((f"being built: {', '.join(self.sides)}",) if self.sides else ()),
            *((self.unfinished,) if self.unfinished else ()),
        )


def traces(connection: Connection, records: Iterable[RunRecord] | None) -> Traces:
    """Ask the server and the run records.

    Args:
        connection: session on any database.
        records: of the runs; None where not all of them can be read.
    """
    rows = connection.execute(
        """SELECT datname FROM pg_catalog.pg_database
           WHERE starts_with(datname, %s) OR starts_with(datname, %s) ORDER BY 1""",
        [KEPT_PREFIX, SIDE_PREFIX],
    ).fetchall()
    names = [str(name) for (name,) in rows]
    return Traces(
        tuple(name for name in names if name.startswith(KEPT_PREFIX)),
        tuple(name for name in names if name.startswith(SIDE_PREFIX)),
        "not all run records can be read" if records is None else unfinished(records),
    )


def unfinished(records: Iterable[RunRecord]) -> str:
    """The newest run that moves databases, if it has not ended, or not well; else empty."""
    movers = [record for record in records if record.action in _MOVERS]
    last = max(movers, key=lambda r: (r.started_at, r.id), default=None)
    if last is None or last.result is Result.DONE:
        return ""
    return f"{last.action} {last.id} is {last.result.value}"


def in_service(database: str, *, there: bool, left: Traces, inv: str, create: str) -> Finding:
    """Whether the database exists.

    An empty one in its place would be filled by Archon's migrations and pass for the real one:
    it is offered only where nothing else holds the content.

    Args:
        database: its name.
        there: whether the server has it.
        left: what else may hold its content.
        inv: options of our commands (" --source demo").
        create: the command that makes an empty one; empty where there is none.
    """
    check = Check(
        "database",
        "pg_restore: connection to server failed: database does not exist",
        "pg_database",
    )
    if there:
        return check.ok(f"database {database} exists")
    found = f"database {database} does not exist"
    if left.lines:
        return check.problem(
            f"{found}; {'; '.join(left.lines)}",
            "a restore or an undo was under way, and its database may be the one that is missed",
            f"look first: inv undo --list{inv}; then inv undo{inv}, or "
            f"inv restore latest --scope database{inv}",
            blocks=True,
        )
    return check.problem(
        found,
        "the server was set up anew, or somebody dropped the database",
        f"inv restore latest --scope database{inv}"
        + (f"; for an empty one: {create}" if create else ""),
        blocks=True,
    )


def create_command(site: Site) -> str:
    """How a person makes an empty database of the source."""
    words = ("createdb", "--template=template0")
    source = site.source
    if source.kind == "container":
        role = f"--username={source.user or 'postgres'}"
        return shell("docker", "exec", source.container, *words, role, site.database)
    if source.kind == "direct":
        parts = parse_dsn(source.dsn.get_secret_value())
        where = [f"--{name}={parts[name]}" for name in ("host", "port") if name in parts]
        user = (f"--username={parts['user']}",) if "user" in parts else ()
        return shell(*words, "--maintenance-db=template1", *where, *user, site.database)
    return "inv demo" if site.name == "demo" else ""
