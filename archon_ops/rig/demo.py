"""The main job in front of the user: a database, its backup, a real loss, and the way back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from psycopg import sql

from archon_ops.actions import backup, restore, undo, verify
from archon_ops.actions.recording import recorded
from archon_ops.errors import ExitCode, OpsError
from archon_ops.postgres import databases, facts
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import scalar
from archon_ops.rig import sample
from archon_ops.site import Site
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.directory import Directory
from archon_ops.storage.folders import ensure_folder
from archon_ops.storage.lock import Lock

ENCRYPTION_KEY = "the demo's own key, worth nothing"
_CHANGED_TITLE = "written after the backup"
_COUNT = sql.SQL("SELECT count(*) FROM public.archon_tasks WHERE title = {}").format(
    sql.Literal(_CHANGED_TITLE)
)


@dataclass(frozen=True)
class Step:
    """One thing that was shown: what, what came of it, and how long it took in seconds."""

    name: str
    finding: str
    seconds: float


@dataclass(frozen=True)
class Shown:
    """The whole demonstration.

    Attributes:
        steps: in order.
        backup: path of the backup.
        rows: rows in all tables.
        size_bytes: size of the database.
    """

    steps: tuple[Step, ...]
    backup: str
    rows: int
    size_bytes: int

    @property
    def seconds(self) -> float:
        """Duration of all steps."""
        return sum(step.seconds for step in self.steps)


def demo(site: Site, size_bytes: int, *, fresh: bool = False) -> Shown:
    """Make the demo's database if it is not there, and do the main job on it.

    Args:
        site: of the demo source.
        size_bytes: wanted size of Archon's tables.
        fresh: whether to make the database anew.

    Raises:
        LockedError: another demo is being shown here.
        OpsError: something that should have held did not.
    """
    _write_key(site)
    # Each step locks the backup directory for itself; another demo's steps must not come between.
    with Lock(Directory(site.cluster.folder.parent), "demo", site.settings.deadlines.lock):
        return _shown(site, size_bytes, fresh)


def _shown(site: Site, size_bytes: int, fresh: bool) -> Shown:
    steps: list[Step] = []

    def step(name: str, do: Callable[[], str]) -> None:
        site.report.phase(f"demo.{len(steps) + 1}", name)
        began = time.monotonic()
        finding = do()
        steps.append(Step(name, finding, time.monotonic() - began))
        site.report.ok(finding)

    with site.server(create=True) as server:  # one server for all the steps
        step("Database", lambda: _make(site, server, size_bytes, fresh))
        taken: list[backup.Taken] = []
        step("Backup with proof", lambda: _backup(site, taken))
        name = taken[0].backup.name
        step("Verify", lambda: _verify(site, name))
        step("Loss: the database is dropped", lambda: _lose(site, server))
        step("Restore, proven equal", lambda: _restore(site, name))
        step("A task is written after the backup", lambda: _write(site, server))
        step("Restore over it, the old database kept", lambda: _restore_over(site, server, name))
        step("Undo", lambda: _undo(site, server, expected=1))
        step("Undo again (redo)", lambda: _undo(site, server, expected=0))
        with server.connect(site.database) as connection:
            size = facts.database_bytes(connection)
    manifest = taken[0].backup.manifest
    return Shown(tuple(steps), str(taken[0].path), manifest.rows if manifest else 0, size)


def _write_key(site: Site) -> None:
    home = site.settings.home(site.name)
    for folder in (site.settings.state, home.parent, home):
        ensure_folder(folder)
    content = f'ENCRYPTION_KEY="{ENCRYPTION_KEY}"\n'.encode()
    write_atomic(home / ".env", content, site.run_id, overwrite=True)


def _make(site: Site, server: Server, size_bytes: int, fresh: bool) -> str:
    with recorded(site, "demo") as run:
        with server.connect(databases.MAINTENANCE) as connection:
            if fresh:
                databases.drop(connection, site.database)
            if not databases.exists(connection, site.database):
                databases.create(connection, site.database, None)
        with server.connect(site.database) as connection:
            if facts.archon_tables(connection):
                rows = _archon_rows(server, site)
                return f"the demo's database of an earlier run is used, {rows} Archon rows"
            made = sample.create(
                connection, size_bytes, run.site.report, encryption_key=ENCRYPTION_KEY
            )
        return (
            f"{made.archon_rows} Archon rows in {len(made.rows)} tables, two of them a neighbour's"
        )


def _archon_rows(server: Server, site: Site) -> int:
    with server.connect(site.database) as connection:
        return sum(
            int(
                scalar(
                    connection,
                    sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("public", table)),
                )
            )
            for table in facts.archon_tables(connection)
        )


def _backup(site: Site, taken: list[backup.Taken]) -> str:
    taken.append(backup.backup(site.for_next_run(), backup.Request()))
    one = taken[0].backup
    rows = one.manifest.rows if one.manifest else 0
    return f"{one.name}: {rows} rows fingerprinted in the dump's own snapshot"


def _verify(site: Site, name: str) -> str:
    (result,) = verify.verify(site.for_next_run(), name)
    if result.exit_code != ExitCode.DONE:
        raise OpsError(f"the fresh backup did not verify: {result.problems or result.not_proven}")
    return "size, SHA-256 and table of contents are those that were written; all of it can be read"


def _lose(site: Site, server: Server) -> str:
    with server.connect(databases.MAINTENANCE) as connection:
        databases.drop(connection, site.database)
        if databases.exists(connection, site.database):
            raise OpsError("the database is still there")
    return f"database {site.database} is gone"


def _restore(site: Site, name: str) -> str:
    done = restore.restore(site.for_next_run(), restore.Request(name), lambda _: None)
    if not done.proof.equal:
        raise OpsError("the restored database is not equal")
    rows = sum(t.rows_found or 0 for t in done.proof.tables)
    return f"equal: {rows} rows in {len(done.proof.tables)} tables, and every schema object"


def _write(site: Site, server: Server) -> str:
    with server.connect(site.database) as connection:
        connection.execute(
            """INSERT INTO public.archon_tasks (project_id, title)
               SELECT id, %s FROM public.archon_projects ORDER BY id LIMIT 1""",
            [_CHANGED_TITLE],
        )
    return f"{_written(site, server)} task that no backup has"


def _written(site: Site, server: Server) -> int:
    with server.connect(site.database) as connection:
        return int(scalar(connection, _COUNT))


def _restore_over(site: Site, server: Server, name: str) -> str:
    planned: list[int] = []
    restore.restore(
        site.for_next_run(), restore.Request(name), lambda plan: planned.append(plan.rows_lost)
    )
    if planned != [1] or _written(site, server) != 0:
        raise OpsError(f"the plan foresaw {planned} lost rows, and should have foreseen 1")
    return "the plan foresaw that 1 row would leave service, and it did"


def _undo(site: Site, server: Server, expected: int) -> str:
    undo.undo(site.for_next_run(), lambda _: None)
    if _written(site, server) != expected:
        raise OpsError(f"after the undo there should be {expected} such tasks")
    return "the task is there again" if expected else "the task is gone again"
