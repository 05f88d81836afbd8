"""One examination of a source: every family of checks, whatever is missing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg

from archon_ops.actions import preflight
from archon_ops.actions.credentials import read_encrypted
from archon_ops.actions.doctor import (
    api,
    backups,
    containers,
    credentials,
    cron,
    database,
    directory,
    environment,
    network,
    server,
    services,
)
from archon_ops.actions.doctor.examination import Examination
from archon_ops.actions.doctor.surroundings import concerns_engine, look_around, up_command
from archon_ops.errors import OpsError
from archon_ops.model.catalog import Catalog
from archon_ops.model.diagnosis import Check, Finding
from archon_ops.model.health import assess_catalog
from archon_ops.model.report import Silent
from archon_ops.postgres import databases, facts
from archon_ops.postgres.generations import generations
from archon_ops.postgres.locks import LockRoom, lock_room
from archon_ops.postgres.scope import Scope, resolve
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from archon_ops.site import Site
from archon_ops.storage.directory import Directory

# A person waits: what does not answer by then counts as down.
_CONNECT_SECONDS = 5.0
_LOCK_SECONDS = 1.0
_ANSWER_SECONDS = 20.0

_SERVER = Check(
    "server", "connection refused, or no answer", "a session on the server's maintenance database"
)
_BACKUP = Check("backup", "inv backup fails", "all checks that a backup begins with")


def examine(site: Site) -> Examination:
    """Look at everything; nothing is changed."""
    quick = _patience(site)
    seen = Examination(quick, f" --source {site.name}", look_around(quick))
    _look_at_containers(seen)
    _guarded(seen, "backups", "names in the backup directory", _look_at_backups)
    _look_at_server(seen)
    _look_at_directory(seen)
    _look_at_archon(seen)
    seen.schedule = cron.gather()
    seen.add([cron.judge(seen.schedule, site.settings.root, seen.inv)])
    return seen


def _patience(site: Site) -> Site:
    """The same site in a hurry."""
    given = site.settings.deadlines
    limits = given.model_copy(
        update={
            "connect": min(given.connect, _CONNECT_SECONDS),
            "lock": min(given.lock, _LOCK_SECONDS),
            "stall": min(given.stall, _ANSWER_SECONDS),
        }
    )
    settings = site.settings.model_copy(update={"deadlines": limits})
    return replace(site, settings=settings, report=Silent())


def _look_at_containers(seen: Examination) -> None:
    site, around = seen.site, seen.surroundings
    if not concerns_engine(site):
        seen.skipped = (
            *seen.skipped,
            f"containers, services and networks: source {site.name} is {site.source.kind} "
            "and names no services",
        )
        return
    if site.source.kind == "container":
        name = site.source.container
        up = up_command(lambda: site.database_project, name)
        seen.add(containers.judge(around, name, up))
    else:
        seen.skipped = (*seen.skipped, f"the database's container: source is {site.source.kind}")
    up = up_command(lambda: site.archon_project)
    again = up_command(lambda: site.archon_project, "--force-recreate")
    seen.add(services.judge(around, site.directory.path, up, again))
    if around.engine:
        seen.add([network.judge(around.networks, network.read_routes())])
    _look_at_api(seen, up)


def _look_at_api(seen: Examination, up: str) -> None:
    if url := seen.site.source.archon_url:
        server_container = services.server_of(seen.surroundings.service_containers)
        seen.add([api.judge(api.ask(url), server_container, seen.findings, up)])


def _look_at_backups(seen: Examination) -> Iterator[Finding]:
    site = seen.site
    listing, now = site.directory.scan(), site.clock()
    seen.catalog = Catalog(listing.backups)
    seen.records, damaged = site.journal.records(), site.journal.damaged()
    seen.records_whole = not damaged
    return backups.judge(
        backups.BackupFacts(
            catalog=seen.catalog,
            oddities=tuple(f"{odd.name}: {odd.what}" for odd in listing.oddities),
            health=assess_catalog(seen.catalog, site.settings.thresholds, now),
            records=seen.records,
            damaged=damaged,
            keep=site.settings.retention.last,
            now=now,
        ),
        seen.inv,
    )


def _look_at_server(seen: Examination) -> None:
    if seen.blocked("engine") or seen.blocked("container"):
        return  # what keeps us from the server was said already
    try:
        with seen.site.server() as reached:
            seen.add([_SERVER.ok(f"{reached.kind} {reached.host} answers")])
            _look_at_databases(seen, reached)
    except OpsError as error:
        cause = "it is down, or address, role or password are wrong"
        if seen.live is not None:
            cause = "the connection was lost while it was looked at"
        seen.add([_SERVER.problem(error.message, cause, error.hint, blocks=True)])


def _look_at_databases(seen: Examination, reached: Server) -> None:
    name, inv = seen.site.database, seen.inv
    with reached.connect(databases.MAINTENANCE) as connection:
        there = databases.exists(connection, name)
        left = database.traces(connection, seen.records if seen.records_whole else None)
        create = database.create_command(seen.site)
        seen.add([database.in_service(name, there=there, left=left, inv=inv, create=create)])
        clock = seen.site.clock
        seen.add([server.asked(server.CLOCK, lambda: server.clock(connection, clock))])
        if not any(f.check == "kept" for f in seen.findings):
            seen.add(_kept(seen, reached))
    if there:
        with reached.connect(name) as connection:
            _look_into(seen, reached, connection)
        seen.add([_ready(seen, reached)])


def _kept(seen: Examination, reached: Server) -> Iterator[Finding]:
    """What is kept although no run record here tells of it."""
    for kept in generations(reached, seen.site.database)[-1:]:
        until = kept.kept_at + seen.site.settings.kept_for
        left = until - seen.site.clock()
        yield backups.judge_kept(kept.name, f"{kept.size_bytes} bytes", left, seen.inv)


def _look_into(seen: Examination, reached: Server, connection: Connection) -> None:
    name, inv = seen.site.database, seen.inv
    seen.live = facts.server_facts(connection, reached.kind, reached.host)
    with contextlib.suppress(psycopg.Error):  # a locked table; the backup's own check names it
        seen.database_bytes = facts.database_bytes(connection)
        seen.sizes = facts.table_sizes(connection, Scope())
    seen.add(
        server.asked(check, answer)
        for check, answer in (
            (server.COLLATION, lambda: server.collation(connection, name, inv)),
            (server.LOCKS, lambda: server.judge_locks(_room(seen, connection), inv)),
            (server.LOG, lambda: server.log(connection, inv)),
            (server.SESSIONS, lambda: server.sessions(connection, inv)),
            (server.STORAGE, lambda: server.storage(connection)),
        )
    )
    seen.encrypted = _encrypted(connection)


def _ready(seen: Examination, reached: Server) -> Finding:
    """Let the backup's own checks judge; a directory that it would make counts as its parent."""
    site = replace(seen.site, directory=Directory(_nearest(seen.site.directory.path)))
    try:
        ready = preflight.check(site, reached, (), (), allow_empty=False)
    except OpsError as error:
        return _BACKUP.problem(
            error.message, "a backup refuses what it could not prove", error.hint, blocks=True
        )
    seen.expected = ready.expected_bytes
    return _BACKUP.ok(f"{len(ready.archon_tables)} Archon tables, all can be read")


def _look_at_directory(seen: Examination) -> None:
    newest = seen.catalog.subject()
    if seen.expected is None and newest:
        seen.expected = newest.size_bytes
    seen.add(directory.judge(directory.gather(seen.site.directory, seen.expected), seen.inv))


def _room(seen: Examination, connection: Connection) -> LockRoom:
    source = seen.site.source
    return lock_room(connection, resolve(connection, source.exclude_schemas, source.exclude_tables))


def _encrypted(connection: Connection) -> tuple[str, ...] | None:
    with contextlib.suppress(psycopg.Error):  # likewise, or a role that may not read them
        return read_encrypted(connection)
    return None


def _nearest(path: Path) -> Path:
    """The path itself, else the folder above it that exists."""
    return next((folder for folder in (path, *path.parents) if folder.exists()), path)


def _look_at_archon(seen: Examination) -> None:
    home = seen.site.settings.home(seen.site.name)
    _guarded(seen, "key.present", f"names in {home / '.env'}", _keys)
    if home.is_dir():
        seen.add(environment.judge(environment.gather(home)))
    else:
        seen.skipped = (*seen.skipped, f".env, git: there is no folder {home} (archon_home)")


def _keys(seen: Examination) -> Iterable[Finding]:
    return credentials.judge(credentials.gather(seen.site, seen.encrypted), seen.inv)


def _guarded(
    seen: Examination,
    check: str,
    looked_at: str,
    look: Callable[[Examination], Iterable[Finding]],
) -> None:
    """Take what a family finds; where it cannot be looked at, that is the finding."""
    try:
        seen.add(look(seen))
    except OpsError as error:
        blind = Check(check, "nothing is known of it", looked_at)
        seen.add([blind.unknown(error.message, "it cannot be read", error.hint)])
