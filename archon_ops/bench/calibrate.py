"""Synthetic databases after the live one, in a sandbox: what backup and restore of them take."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from archon_ops.actions.past import read_history
from archon_ops.errors import PreconditionError, UsageError
from archon_ops.model.backup import Extension
from archon_ops.model.calibration import Calibration, Trial, factors, recent_backup
from archon_ops.model.units import human_duration, human_size
from archon_ops.postgres import databases, facts, sizes
from archon_ops.postgres.dump import choose_codec, dumping, exported_snapshot
from archon_ops.postgres.inventory import read_extensions
from archon_ops.postgres.restore import restore_into
from archon_ops.postgres.sandbox import missing_extensions
from archon_ops.postgres.scope import Scope, resolve
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection, deadline
from archon_ops.postgres.shape import Shape, create, shape
from archon_ops.rig import synthetic
from archon_ops.site import Site
from archon_ops.storage.folders import ensure_folder
from archon_ops.storage.space import free_bytes

MOST_BYTES = 256 << 20
LEAST_BYTES = 20 << 20
_MADE, _BACK = "archon_calibrate", "archon_calibrate_back"
# The database, its log, its dump, and the database that comes back.
_ROOM = 4
_SESSION = (
    "SET maintenance_work_mem = '256MB'",
    "SET synchronous_commit = off",
    "SET statement_timeout = 0",
)
# What a definition refers to and a sandbox of tables alone does not have.
_NOT_HERE = (
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedObject,
    psycopg.errors.DatatypeMismatch,
)
# Extensions that only their own server's settings let in; no column needs them.
_USEFUL = frozenset({"vector", "pg_trgm", "btree_gin", "btree_gist", "citext", "unaccent"})


def calibrate(site: Site, most_bytes: int = MOST_BYTES) -> Calibration:
    """Make synthetic databases and measure them; the live one is only read.

    Args:
        site: of the source.
        most_bytes: about how large the largest may be.

    Raises:
        UsageError: they would be smaller than an empty Archon.
        PreconditionError: there are no rows to learn from, no room, or no sandbox.
    """
    if most_bytes < LEAST_BYTES:
        raise UsageError(
            f"synthetic databases of {human_size(most_bytes)} tell nothing: an Archon without a "
            f"page in it takes more",
            f"give at least {human_size(LEAST_BYTES)}",
        )
    site.report.phase("calibrate.shape", "Reading the shape of Archon's tables")
    with site.server() as server, server.connect(site.database) as connection:
        shapes, taken, left_out = _shapes(site, connection)
        extensions = read_extensions(connection)
        identity, whole = facts.system_identifier(connection), facts.database_bytes(connection)
        past = read_history(site, (identity, site.database))
        backups = past.only(lambda point: point.backup_bytes is not None)
        empty = Calibration(
            at=site.clock(),
            system_identifier=identity,
            database=site.database,
            database_bytes=whole,
            backup_bytes=recent_backup(backups.newest, whole),
            codec=choose_codec(server, portable=site.settings.keeps_to_gzip),
            trials=(),
            left_out=left_out,
        )
        major = facts.version_num(connection) // 10000
    _require_room(site, most_bytes)
    ensure_folder(site.settings.state)
    with (
        tempfile.TemporaryDirectory(prefix="calibrate-", dir=site.settings.state) as folder,
        site.sandbox(major) as sandbox,
    ):
        bench = _Bench(site, sandbox, shapes, _needed(sandbox, extensions), Path(folder))
        trials = tuple(bench.trial(factor) for factor in factors(taken, most_bytes))
    return Calibration(**{**vars(empty), "trials": trials})


def _shapes(site: Site, connection: Connection) -> tuple[tuple[Shape, ...], int, tuple[str, ...]]:
    """Shapes of the readable tables, what Archon takes, and what could not be had."""
    source = site.source
    scope = resolve(connection, source.exclude_schemas, source.exclude_tables)
    stored = sizes.stored_tables(connection, scope)
    indexes = sizes.indexes(connection, stored)
    taken = sum(t.size(indexes.get(t.oid, ())).total_bytes for t in stored)
    with deadline(connection, site.settings.deadlines.proof, "reading the shape of the tables"):
        shapes = tuple(shape(connection, t) for t in stored if t.readable)
    if not any(s.rows and s.lengths for s in shapes):
        raise PreconditionError(
            f"Archon's tables in {site.database} have no rows, or no statistics, to learn from",
            "inv psql --command ANALYZE, then run it again",
        )
    hidden = [f"{t.schema}.{t.table}: the role may not read it" for t in stored if not t.readable]
    odd = [
        f"{s.schema}.{s.table}.{name}: values of its type are not made"
        for s in shapes
        for name in synthetic.unknown_columns(s)
    ]
    return shapes, taken, (*hidden, *odd)


def _require_room(site: Site, most_bytes: int) -> None:
    ensure_folder(site.settings.state)
    free, needed = free_bytes(site.settings.state), _ROOM * most_bytes
    if free < needed:
        raise PreconditionError(
            f"not enough room in {site.settings.state} for synthetic databases: "
            f"about {human_size(needed)} needed, {human_size(free)} free",
            "try smaller ones: inv growth --calibrate --up-to 50MB",
        )


def _needed(server: Server, extensions: Sequence[Extension]) -> tuple[Extension, ...]:
    wanted = tuple(e for e in extensions if e.name in _USEFUL)
    with server.connect(databases.MAINTENANCE) as connection:
        lacking = missing_extensions(connection, tuple(e.name for e in wanted))
    if lacking:
        raise PreconditionError(
            f"the sandbox's PostgreSQL {server.programs.version} lacks {', '.join(lacking)}",
            "install the extension's package for that PostgreSQL",
        )
    return wanted


class _Bench:
    """A sandbox in which one synthetic database after the other is measured."""

    def __init__(
        self,
        site: Site,
        server: Server,
        shapes: Sequence[Shape],
        extensions: Sequence[Extension],
        folder: Path,
    ) -> None:
        self._site = site
        self._server = server
        self._shapes = shapes
        self._extensions = extensions
        self._dump = folder / "synthetic.dump"

    def trial(self, factor: float) -> Trial:
        """Make a database with so many times the live rows, and measure it."""
        report = self._site.report
        report.step("calibrate.trial", f"A synthetic database of {factor:.2f} times the rows")
        with self._server.connect(databases.MAINTENANCE) as admin:
            databases.create(admin, _MADE, None)
            databases.create(admin, _BACK, None)
            try:
                found = self._measured(factor)
            finally:
                databases.drop(admin, _BACK)
                databases.drop(admin, _MADE)
                self._dump.unlink(missing_ok=True)
        report.ok(
            f"{human_size(found.database_bytes)}: a backup of {human_size(found.backup_bytes)} in "
            f"{human_duration(found.backup_seconds)}, restored in "
            f"{human_duration(found.restore_seconds)}"
        )
        return found

    def _measured(self, factor: float) -> Trial:
        rows = self._fill(factor)
        with self._server.connect(_MADE) as connection:
            connection.execute("CHECKPOINT")
            size = facts.database_bytes(connection)
        backup_seconds = self._timed_dump()
        restore_seconds = self._timed_restore()
        return Trial(factor, rows, size, self._dump.stat().st_size, backup_seconds, restore_seconds)

    def _fill(self, factor: float) -> int:
        limit = self._site.settings.deadlines.restore
        with self._server.connect(_MADE) as connection, deadline(connection, limit, "filling it"):
            for text in _SESSION:
                connection.execute(text)
            self._extend(connection)
            rows = 0
            for one in self._shapes:
                create(connection, one)
                count = max(1, round(one.rows * factor)) if one.rows else 0
                rows += synthetic.table(one, count).copy_into(connection, lambda _: None)
            self._index(connection)
            connection.execute("VACUUM ANALYZE")
        return rows

    def _extend(self, connection: Connection) -> None:
        for extension in self._extensions:
            name = sql.Identifier(extension.schema)
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
            connection.execute(
                sql.SQL("CREATE EXTENSION {} SCHEMA {}").format(
                    sql.Identifier(extension.name), name
                )
            )

    def _index(self, connection: Connection) -> None:
        """Build the indexes; one over a function that is not here stays out, and is told."""
        for text in (text for one in self._shapes for text in one.indexes):
            try:
                connection.execute(sql.SQL(text))
            except _NOT_HERE as error:
                why = str(error).partition("\n")[0]
                self._site.report.warn(f"an index stays out of the trial: {why}")

    def _timed_dump(self) -> float:
        codec = choose_codec(self._server, portable=self._site.settings.keeps_to_gzip)
        stall = self._site.settings.deadlines.stall
        began = time.monotonic()
        with (
            exported_snapshot(self._server, _MADE, ()) as snapshot,
            dumping(
                self._server, _MADE, snapshot, Scope(), codec=codec, stall_seconds=stall
            ) as blocks,
            self._dump.open("wb") as file,
        ):
            for block in blocks:
                file.write(block)
        return time.monotonic() - began

    def _timed_restore(self) -> float:
        began = time.monotonic()
        limit = self._site.settings.deadlines.restore
        restore_into(self._server, _BACK, self._dump, timeout=limit)
        return time.monotonic() - began
