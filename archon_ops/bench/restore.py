"""The whole of `inv restore`, proof included, against plain `pg_restore`, in turn, on one server.

Plain is what the handbook did: a dump into standard input, into an empty database. That database
is given the memory to keep every vector index; at PostgreSQL's default it loses the largest.
Like for like is the whole into a database that is new as well. In place ours does what plain does
not: it saves what is live, and keeps it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from archon_ops.bench.backup import command_line
from archon_ops.bench.measure import measured, median
from archon_ops.bench.ratio import Benchmark, Ratio
from archon_ops.model.report import Report
from archon_ops.postgres import databases
from archon_ops.postgres.restore import MAINTENANCE_MEMORY
from archon_ops.postgres.server import Server
from archon_ops.site import Site
from archon_ops.storage.directory import Directory
from archon_ops.storage.journal import Journal

_PLAIN = "archon_bench_plain"
_OURS = "archon_bench_ours"
# Share of plain pg_restore's wall time, by scope; then seconds.
_BESIDE = "database"
_IN_PLACE = "database, in place with its safety backup"
_LIMITS = {_BESIDE: 1.0, "archon": 2.0}
_LOCKED_LIMIT = 0.5
_UNDO_LIMIT = 1.0


@dataclass(frozen=True)
class Round:
    """One restore each way, in seconds.

    Attributes:
        plain: pg_restore alone.
        ours: the whole command.
        locked: of ours, with readers kept out; None where nobody is.
        undo: from consent to the end; None where nothing was replaced.
    """

    plain: float
    ours: float
    locked: float | None
    undo: float | None


def benchmark(
    site: Site,
    server: Server,
    database_bytes: int,
    folder: Path,
    runs: int,
    report: Report,
    *,
    scopes: Sequence[str],
    in_place: bool,
) -> Benchmark:
    """Measure every scope against the plain way, after one unmeasured round of each.

    Args:
        site: whose database; one backup of it goes to `folder`.
        server: the same, running, so that no start is measured.
        database_bytes: its size.
        folder: an existing folder for outputs.
        runs: how many measured rounds of each scope.
        report: who listens.
        scopes: of `inv restore`.
        in_place: whether the database may be replaced, and that undone; else it is restored into
            another one of the server, which only scope database does.
    """
    common = ("--source", site.name, "--quiet", "--backup-dir", str(folder / "backups"))
    measured(command_line("backup", *common), cwd=site.settings.root)
    dump = next((folder / "backups").glob("*.dump"))
    rounds: dict[str, list[Round]] = {}
    named = {_IN_PLACE if scope == _BESIDE else scope: scope for scope in scopes}
    for name, scope in {_BESIDE: _BESIDE, **(named if in_place else {})}.items():
        report.info(f"scope {name}: warming up")
        for number in range(runs + 1):
            one = _round(site, server, dump, scope, in_place=name != _BESIDE)
            if number:
                report.info(f"scope {name}: run {number} of {runs}")
                rounds.setdefault(name, []).append(one)
    ratios = tuple(ratio for scope, found in rounds.items() for ratio in _ratios(scope, found))
    return Benchmark(database_bytes, server.programs.best_codec, runs, ratios, _spread(rounds))


def _round(site: Site, server: Server, dump: Path, scope: str, *, in_place: bool) -> Round:
    plain = _plain(server, dump)
    args = ("restore", str(dump), "--scope", scope, "--yes", "--quiet", "--source", site.name)
    if not in_place:
        with _removed(server, _OURS):
            argv = command_line(*args, "--database", _OURS, "--backup-dir", str(dump.parent))
            return Round(plain, measured(argv, cwd=site.settings.root).wall_seconds, None, None)
    argv = command_line(*args, "--backup-dir", str(dump.parent))
    ours = measured(argv, cwd=site.settings.root).wall_seconds
    return Round(plain, ours, _locked(dump.parent), _undo(site, dump.parent))


def _plain(server: Server, dump: Path) -> float:
    """The handbook's way; making the empty database is not measured."""
    with _removed(server, _PLAIN):
        with server.connect(databases.MAINTENANCE) as connection:
            databases.create(connection, _PLAIN, None)
            connection.execute(
                sql.SQL("ALTER DATABASE {} SET maintenance_work_mem = {}").format(
                    sql.Identifier(_PLAIN), sql.Literal(MAINTENANCE_MEMORY)
                )
            )
        argv = server.programs.command_line("pg_restore", database=_PLAIN)
        env = server.foreground_environment()
        return measured(argv, cwd=dump.parent, env=env, input=dump).wall_seconds


@contextlib.contextmanager
def _removed(server: Server, database: str) -> Iterator[None]:
    """Without a database of this name, before the block and after it."""
    try:
        with server.connect(databases.MAINTENANCE) as connection:
            databases.drop(connection, database)
        yield
    finally:
        with server.connect(databases.MAINTENANCE) as connection:
            databases.drop(connection, database)


def _locked(folder: Path) -> float | None:
    """Seconds under lock of the last restore, as its record has them."""
    last = max(
        (r for r in Journal(Directory(folder)).records() if r.action == "restore"),
        key=lambda r: r.id,
    )
    seconds = last.details.get("locked_seconds")
    return float(seconds) if isinstance(seconds, int | float) else None


def _undo(site: Site, folder: Path) -> float:
    """Undo it, by its own account, and drop what was undone."""
    said = folder.parent / "undo.json"
    args = ("undo", "--yes", "--source", site.name)
    measured(command_line(*args, "--json"), cwd=site.settings.root, output=said)
    measured(command_line(*args, "--finalize"), cwd=site.settings.root)
    return float(json.loads(said.read_text(encoding="utf-8"))["seconds"])


def _ratios(scope: str, rounds: list[Round]) -> Iterator[Ratio]:
    ours, plain = median([r.ours for r in rounds]), median([r.plain for r in rounds])
    paired = median([r.ours / r.plain for r in rounds])
    limit = _LIMITS.get(scope)
    what = f"wall time, inv restore --scope {scope} / pg_restore"
    within = limit is None or paired <= limit
    told = "-" if limit is None else f"{limit:.2f}"
    yield Ratio(what, f"{ours:.2f} s", f"{plain:.2f} s", paired, told, within)
    yield from _bound(f"under lock, scope {scope}", [r.locked for r in rounds], _LOCKED_LIMIT)
    yield from _bound(f"undo, scope {scope}", [r.undo for r in rounds], _UNDO_LIMIT)


def _bound(what: str, seconds: Sequence[float | None], limit: float) -> Iterator[Ratio]:
    known = [s for s in seconds if s is not None]
    if known:
        most = max(known)
        yield Ratio(what, f"{most:.2f} s", "-", None, f"{limit} s", most <= limit)


def _spread(rounds: dict[str, list[Round]]) -> dict[str, tuple[float, float]]:
    every = [r.plain for found in rounds.values() for r in found]
    ours = {
        f"inv restore --scope {scope}": (min(r.ours for r in found), max(r.ours for r in found))
        for scope, found in rounds.items()
    }
    return {**ours, "pg_restore": (min(every), max(every))}
