"""The document's five disasters, really done: to a sandbox, and to nothing else.

Each takes a `Stage`, which only a drill can have, and tells what it did and what came of it.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from archon_ops.actions.recovery.rows import counts
from archon_ops.errors import OpsError
from archon_ops.model.report import Silent
from archon_ops.postgres.session import scalar
from archon_ops.rig.stage import Stage
from archon_ops.site import Site

_PAGE_BYTES = 8192
# Of the pages of a table so many in a row are overwritten, from its first page on.
_PAGES = 8
_PROGRAM_SECONDS = 60.0
MARK = "written after the backup"
MIGRATION = "900_archon_ops_drill"

# What ran before the failure stays: nobody had put the migration into one transaction.
_HALF_DONE = (
    "ALTER TABLE public.archon_tasks ADD COLUMN estimate integer",
    "ALTER TABLE public.archon_tasks DROP COLUMN feature",
    "UPDATE public.archon_projects SET features = NULL",
)
_FAILING = "ALTER TABLE public.archon_tasks ALTER COLUMN estimate SET DEFAULT 'two days'"
_CORRECTED = f"""-- What the migration should have been.
ALTER TABLE public.archon_tasks ADD COLUMN estimate integer;
INSERT INTO public.archon_migrations (version, migration_name, checksum)
    VALUES ('0.9', '{MIGRATION}', md5('{MIGRATION}'));
"""


@dataclass(frozen=True)
class Done:
    """A disaster that happened.

    Attributes:
        what: what was done.
        seen: how it shows.
    """

    what: str
    seen: str


def write_later(stage: Stage) -> str:
    """A task that is younger than the backup, as work goes on until the disaster."""
    with stage.site.server() as server, server.connect(stage.site.database) as connection:
        connection.execute("INSERT INTO public.archon_projects (title) VALUES (%s)", [MARK])
    return f"a project {MARK!r}"


def later_rows(site: Site) -> int:
    """How many of those rows are in service."""
    with site.server() as server, server.connect(site.database) as connection:
        query = sql.SQL("SELECT count(*) FROM public.archon_projects WHERE title = {}")
        return int(scalar(connection, query.format(sql.Literal(MARK))))


def take_back(stage: Stage) -> None:
    """Remove what a drill itself added, so that all the rest can be held against the manifest."""
    site = stage.site
    with site.server() as server, server.connect(site.database) as connection:
        connection.execute("DELETE FROM public.archon_projects WHERE title = %s", [MARK])
        connection.execute("ALTER TABLE public.archon_tasks DROP COLUMN IF EXISTS estimate")
        query = "DELETE FROM public.archon_migrations WHERE migration_name = %s"
        connection.execute(query, [MIGRATION])


def lose_system(stage: Stage) -> Done:
    """The machine burns: the data directory, or all containers with what they hold."""
    site = stage.site
    if site.source.kind == "container":
        gone = (*_remove_services(stage), site.source.container)
        site.engine.remove(site.source.container)
        return Done(f"containers removed with their data: {', '.join(gone)}", _silence(site))
    shutil.rmtree(site.cluster.data_folder)
    return Done(f"data directory {site.cluster.data_folder} deleted", _silence(site))


def corrupt(stage: Stage, table: str = "archon_crawled_pages") -> Done:
    """Overwrite pages of a table's file with noise, behind the server's back."""
    site = stage.site
    path, pages = _file_of(site, table)
    if site.source.kind == "container":
        _overwrite_inside(site, path, pages)
    else:  # nobody uses it, so it does not run
        with (site.cluster.data_folder / path).open("r+b") as file:
            file.write(os.urandom(pages * _PAGE_BYTES))
    return Done(
        f"{pages} pages of {table} overwritten on disk ({path})", _reading_fails(site, table)
    )


def remove_containers(stage: Stage) -> Done:
    """Remove all of Archon's services by force; the database's container stays."""
    gone = _remove_services(stage)
    if not gone:
        raise OpsError("there are no containers of Archon's services to remove")
    there = stage.site.services().existing()
    return Done(f"containers removed: {', '.join(gone)}", f"{len(there)} of them are left")


def delete_rows(stage: Stage) -> Done:
    """A DELETE that hits more than was meant: projects, and all that hangs on them.

    What is younger than the backup is spared, so that a recovery can be seen to spare it too.
    """
    site = stage.site
    with site.server() as server, server.connect(site.database) as connection:
        before = counts(connection)
        connection.execute("DELETE FROM public.archon_projects WHERE title <> %s", [MARK])
        after = counts(connection)
    lost = {name: before[name] - after[name] for name in before if before[name] != after[name]}
    if not lost:
        raise OpsError("the backup holds no project, so no row could be deleted by mistake")
    told = ", ".join(f"{count} of {name}" for name, count in lost.items())
    return Done("DELETE FROM archon_projects without the right WHERE", f"rows gone: {told}")


def fail_migration(stage: Stage) -> Done:
    """A migration that fails half way; what ran before the failure is committed."""
    site = stage.site
    with site.server() as server, server.connect(site.database) as connection:
        for statement in _HALF_DONE:
            connection.execute(statement)
        try:
            connection.execute(_FAILING)
        except psycopg.Error as error:
            seen = error.diag.message_primary or str(error)
        else:
            raise OpsError("the migration that should have failed did not")
    return Done(f"{MIGRATION}.sql stopped half way: a column added, another one dropped", seen)


def corrected_migration(stage: Stage) -> Path:
    """The corrected file, as a person would have written it by now."""
    folder = stage.folder / "migration"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / f"{MIGRATION}.sql"
    file.write_text(_CORRECTED)
    return file


def _remove_services(stage: Stage) -> tuple[str, ...]:
    engine, containers = stage.site.engine, stage.site.services().existing()
    for container in containers:
        engine.remove(container.id)
    return tuple(container.name for container in containers)


def _silence(site: Site) -> str:
    """What a client is told now."""
    try:
        with site.server():
            pass
    except OpsError as error:
        return error.message
    raise OpsError("the server still answers: the disaster did not happen")


def _file_of(site: Site, table: str) -> tuple[str, int]:
    """Path of a table's file below the data directory, and how many pages are to be overwritten."""
    with site.server() as server, server.connect(site.database) as connection:
        connection.execute("CHECKPOINT")
        path, size = connection.execute(
            "SELECT pg_relation_filepath(c), pg_relation_size(c) FROM (SELECT %s::regclass c) t",
            [f"public.{table}"],
        ).fetchone() or ("", 0)
    pages = min(_PAGES, size // _PAGE_BYTES)
    if not pages:
        raise OpsError(f"the backup's table {table} has no page to overwrite")
    return str(path), pages


def _overwrite_inside(site: Site, path: str, pages: int) -> None:
    """The same in a container, and a restart, so that no page is read from memory."""
    from archon_ops.postgres.container_sandbox import wait_until_ready

    engine, name = site.engine, site.source.container
    folder = engine.find(name)[0].environment.get("PGDATA", "/var/lib/postgresql/data")
    words = ("if=/dev/urandom", f"of={folder}/{path}", f"bs={_PAGE_BYTES}", f"count={pages}")
    done = engine.run(name, ("dd", *words, "conv=notrunc"), timeout=_PROGRAM_SECONDS)
    if done.returncode != 0:
        raise OpsError(f"the pages could not be overwritten: {done.reason}")
    engine.stop(name, round(site.settings.deadlines.stop))
    engine.start(name)
    wait_until_ready(site.reporting_to(Silent()).server)


def _reading_fails(site: Site, table: str) -> str:
    query = sql.SQL("SELECT count(t::text) FROM {} t").format(sql.Identifier("public", table))
    with site.server() as server, server.connect(site.database) as connection:
        try:
            connection.execute(query)
        except psycopg.Error as error:
            return f"{error.sqlstate}: {error.diag.message_primary}"
    raise OpsError(f"{table} can still be read: the disaster did not happen")
