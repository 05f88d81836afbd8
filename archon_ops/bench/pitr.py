"""pgBackRest's incremental backup against its full one, and its restore against pg_restore.

All of it in a throwaway container of the source's own image, which has to have pgBackRest in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from archon_ops.actions.pitr.reach import program
from archon_ops.bench.measure import median
from archon_ops.bench.ratio import Benchmark, Ratio
from archon_ops.errors import OpsError, PreconditionError
from archon_ops.model.pitr.changes import archive_command
from archon_ops.model.pitr.config import Config, Repository, render
from archon_ops.model.pitr.labels import Label
from archon_ops.model.report import Report
from archon_ops.postgres import facts
from archon_ops.postgres.container import locate
from archon_ops.postgres.pitr.at_host import AtHost
from archon_ops.postgres.pitr.pgbackrest import PROGRAM, InContainer, PgBackRest
from archon_ops.postgres.restore import MAINTENANCE_MEMORY
from archon_ops.postgres.server import Server
from archon_ops.rig import sample
from archon_ops.site import Site

_STANZA, _CONFIG = "bench", "/etc/pgbackrest/pgbackrest.conf"
_REPOSITORY, _AGAIN, _DUMP = "/var/lib/pgbackrest", "/tmp/again", "/tmp/bench.dump"  # noqa: S108
_PORT = 5433
_SECONDS = 3600.0
_STOP_SECONDS = 60
# One row in a hundred: side by side, as when a site is crawled again; and spread evenly, so that as
# many blocks and files as can be are touched.
_SIDE = "id * 100 / (SELECT max(id) FROM {t}) = {n}"
_SPREAD = "id % 100 = {n}"
_CHANGED = {"public.archon_crawled_pages": "content", "public.archon_code_examples": "summary"}
_TIME_LIMIT, _SIZE_LIMIT, _RESTORE_LIMIT = 0.30, 0.10, 0.25


@dataclass(frozen=True)
class Round:
    """One round, in seconds and bytes.

    Attributes:
        full: pgBackRest's full backup.
        side, spread: its incremental ones, after one row in a hundred was changed.
        full_bytes, side_bytes, spread_bytes: what they take in the repository.
        restore: until the restored server answers.
        pg_restore: of a dump of the same database, vector indexes built.
    """

    full: float
    side: float
    spread: float
    full_bytes: int
    side_bytes: int
    spread_bytes: int
    restore: float
    pg_restore: float


@dataclass(frozen=True)
class Place:
    """The container that is measured in.

    Attributes:
        host: where programs run.
        backrest: pgBackRest there.
        server: with the sample.
        config: of pgBackRest.
        database: that holds the sample.
    """

    host: InContainer
    backrest: PgBackRest
    server: Server
    config: Config
    database: str

    def sql(self, *statements: str) -> str:
        """What psql prints there."""
        return AtHost(self.host, program(self.server, "psql"), self.config).ask(*statements)


def benchmark(site: Site, size_bytes: int, runs: int, report: Report) -> Benchmark:
    """Measure, in a throwaway container that is gone afterwards.

    Args:
        site: a source of kind container; only its image is used.
        size_bytes: wanted size of Archon's tables.
        runs: rounds.
        report: who listens.

    Raises:
        PreconditionError: the source is no container, or its image has no pgBackRest.
    """
    if site.source.kind != "container":
        raise PreconditionError(
            f"source {site.name} is no container, and this is measured in a copy of one",
            "inv bench --what pitr --source NAME, of kind container",
        )
    with site.server() as live:
        major = live.programs.major
    with site.sandbox(major) as server:
        place = _prepared(site, server, size_bytes, report)
        with server.connect(place.database) as connection:
            size = facts.database_bytes(connection)
        rounds = [_round(place, number, report) for number in range(1, runs + 1)]
    return Benchmark(size, f"pgBackRest {place.config.compress}", runs, _ratios(rounds), {})


def _prepared(site: Site, server: Server, size_bytes: int, report: Report) -> Place:
    """A sample, and a server that archives."""
    engine = site.engine
    host = InContainer(engine, locate(engine, server.host), site.source.pitr.user)
    config = Config(
        stanza=_STANZA,
        data_folder=host.run(("printenv", "PGDATA"), timeout=_SECONDS).stdout.strip(),
        repositories=(Repository(1, _REPOSITORY),),
        user=str(server.address["user"]),
        database="postgres",
    )
    place = Place(host, PgBackRest(host, _STANZA, _CONFIG), server, config, "postgres")
    place.backrest.version()  # whether it is there is told before anything is made
    with server.connect(place.database) as connection:
        sample.create(connection, size_bytes, report, encryption_key="bench")
    engine.run(host.container.id, ("mkdir", "-p", "/etc/pgbackrest"), timeout=_SECONDS)
    host.write(_CONFIG, render(config).encode())
    place.sql(
        "ALTER SYSTEM SET archive_mode = 'on'",
        f"ALTER SYSTEM SET archive_command = '{archive_command(PROGRAM, _CONFIG, _STANZA)}'",
        "ALTER SYSTEM SET max_wal_size = '4GB'",
    )
    report.info("restarting the copy, so that it archives")
    engine.stop(host.container.id, _STOP_SECONDS)
    engine.start(host.container.id)
    _until(lambda: place.sql("SELECT 1") == "1")
    place.backrest.run("stanza-create", timeout=_SECONDS)
    place.backrest.run("check", timeout=_SECONDS)
    # Else the server would tidy up after the sample between two backups, and that be measured.
    place.sql("VACUUM ANALYZE")
    return place


def _round(place: Place, number: int, report: Report) -> Round:
    report.info(f"round {number}: full backup")
    full = _backup(place, "full")
    report.info(f"round {number}: incremental backups after one row in a hundred was changed")
    _change(place, _SIDE, number)
    side = _backup(place, "incr")
    _change(place, _SPREAD, number)
    spread = _backup(place, "incr")
    report.info(f"round {number}: restore, and pg_restore")
    return Round(
        full[0],
        side[0],
        spread[0],
        full[1].stored_bytes,
        side[1].stored_bytes,
        spread[1].stored_bytes,
        _restore(place),
        _plain(place),
    )


def _change(place: Place, which: str, number: int) -> None:
    """Change a hundredth of the rows, another one in each round."""
    for table, column in _CHANGED.items():
        rows = which.format(n=number, t=table)
        place.sql(f"UPDATE {table} SET {column} = {column} || '.' WHERE {rows}")
    place.sql("CHECKPOINT")


def _backup(place: Place, kind: str) -> tuple[float, Label]:
    began = time.monotonic()
    place.backrest.run("backup", f"--type={kind}", timeout=_SECONDS)
    seconds = time.monotonic() - began
    return seconds, place.backrest.info().labels[-1]


def _restore(place: Place) -> float:
    """Until the restored server answers a question about Archon's rows."""
    ctl = (program(place.server, "pg_ctl"), "-D", _AGAIN)
    options = f"-p {_PORT} -c archive_mode=off -c listen_addresses="
    psql = (program(place.server, "psql"), "-XqAt", "-p", str(_PORT), "-U", place.config.user)
    question = ("-d", place.database, "-c", "SELECT count(*) > 0 FROM public.archon_crawled_pages")
    began = time.monotonic()
    place.backrest.run(
        "restore",
        f"--pg1-path={_AGAIN}",
        "--archive-mode=off",
        "--target-action=promote",
        "--type=immediate",
        timeout=_SECONDS,
    )
    _done(place, *ctl, "-w", "-t", "600", "-l", f"{_AGAIN}.log", "-o", options, "start")
    _until(lambda: place.host.run((*psql, *question), timeout=_SECONDS).stdout.strip() == "t")
    seconds = time.monotonic() - began
    _done(place, *ctl, "-m", "immediate", "stop")
    _done(place, "rm", "-r", _AGAIN)
    return seconds


def _plain(place: Place) -> float:
    """The handbook's way, into an empty database that has the memory for every vector index."""
    tools = {name: program(place.server, name) for name in ("pg_dump", "pg_restore")}
    user = ("-U", place.config.user)
    _done(place, tools["pg_dump"], *user, "-Fc", "-Z", "1", "-f", _DUMP, place.database)
    place.sql(
        "CREATE DATABASE bench_plain TEMPLATE template0",
        f"ALTER DATABASE bench_plain SET maintenance_work_mem = '{MAINTENANCE_MEMORY}'",
    )
    began = time.monotonic()
    _done(place, tools["pg_restore"], *user, "-d", "bench_plain", _DUMP)
    seconds = time.monotonic() - began
    place.sql("DROP DATABASE bench_plain")
    _done(place, "rm", _DUMP)
    return seconds


def _done(place: Place, *argv: str) -> None:
    done = place.host.run(argv, timeout=_SECONDS)
    if done.returncode != 0:
        raise OpsError(f"{argv[0]} in the copy failed: {done.reason}")


def _until(holds: Callable[[], bool]) -> None:
    """Wait until it holds; a server that is not up yet is asked again."""
    end = time.monotonic() + _SECONDS
    while True:
        try:
            if holds():
                return
        except OpsError:
            if time.monotonic() > end:
                raise
        if time.monotonic() > end:
            raise OpsError("the restored server does not answer")
        time.sleep(0.05)


def _ratios(rounds: list[Round]) -> tuple[Ratio, ...]:
    full, big = median([r.full for r in rounds]), median([float(r.full_bytes) for r in rounds])
    ways = {
        "1 % side by side": ([r.side for r in rounds], [r.side_bytes for r in rounds]),
        "1 % spread evenly": ([r.spread for r in rounds], [r.spread_bytes for r in rounds]),
    }
    restore, plain = median([r.restore for r in rounds]), median([r.pg_restore for r in rounds])
    return (
        *(
            _ratio(f"wall time, incr after {way} / full", median(times), full, "s", _TIME_LIMIT)
            for way, (times, _) in ways.items()
        ),
        *(
            _ratio(
                f"size, incr after {way} / full",
                median([float(n) for n in sizes]) / 1e6,
                big / 1e6,
                "MB",
                _SIZE_LIMIT,
            )
            for way, (_, sizes) in ways.items()
        ),
        _ratio(
            "wall time, restored and answering / pg_restore", restore, plain, "s", _RESTORE_LIMIT
        ),
    )


def _ratio(what: str, ours: float, theirs: float, unit: str, limit: float) -> Ratio:
    ratio = ours / theirs
    return Ratio(
        what, f"{ours:.2f} {unit}", f"{theirs:.2f} {unit}", ratio, f"{limit:.2f}", ratio <= limit
    )
