"""Run a migration on a sandbox made of the newest trustworthy backup; production is only asked."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from archon_ops.actions.examining import examine
from archon_ops.actions.recording import recorded
from archon_ops.actions.trial import PROVING_DATABASE, restore_in_sandbox
from archon_ops.errors import ExitCode, PreconditionError, UntrustworthyError, UsageError
from archon_ops.model.backup import Backup, Manifest
from archon_ops.model.rehearsal import Failure, Ran, Rehearsal, changes
from archon_ops.model.script import Statement, statements
from archon_ops.postgres import attributes, databases, facts, fingerprint
from archon_ops.postgres.inventory import read_inventory
from archon_ops.postgres.rehearsing import Stage
from archon_ops.postgres.roleplay import Role, cast, current_role, dress
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.searches import run_searches
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection, deadline, scalar
from archon_ops.site import Site
from archon_ops.storage.files import read_limited
from archon_ops.storage.reference import Located

_LIMIT = 64 << 20
Rows = dict[str, int]


@dataclass(frozen=True)
class _Look:
    """A database before, or after."""

    inventory: dict[str, str]
    rows: Rows
    searches: dict[str, str]


def read_scripts(files: tuple[Path, ...]) -> tuple[Statement, ...]:
    """The statements of several files, in their order.

    Raises:
        UsageError: a file is no SQL, or holds none.
        PreconditionError: it cannot be read.
    """
    return tuple(statement for file in files for statement in _read(file))


def rehearse(site: Site, files: tuple[Path, ...]) -> Rehearsal:
    """Run files of SQL, one after the other, on a sandbox; they stop at the first failure.

    Args:
        site: where.
        files: the migration, and what shall be run after it.

    Returns:
        What happened; a statement that fails is an answer, not an error.

    Raises:
        OpsError: it could not be tried.
    """
    script = read_scripts(files)
    with recorded(site, "rehearse") as run:
        site = run.site
        run.details["files"] = [str(file) for file in files]
        role, major = _production(site)
        located, manifest, passed_over = _choose(site)
        run.details["backup"] = located.backup.name
        if manifest.server.major > major:
            raise PreconditionError(
                f"{located.backup.name} is of PostgreSQL {manifest.server.major}, production is "
                f"PostgreSQL {major}",
                "inv backup",
            )
        site.report.phase("rehearse.sandbox", f"Restoring {located.backup.name} into a sandbox")
        with site.sandbox(major) as server:
            admin, actor = cast(server, role)
            restore_in_sandbox(site, admin, located, manifest)
            _dress_database(admin, manifest)
            result = _perform(site, admin, actor, role, script, located.backup, passed_over)
        run.details.update({"passed": result.passed, "problem": result.problem})
        run.exit_code = ExitCode.DONE if result.passed else ExitCode.FAILED
        return result


def _read(file: Path) -> tuple[Statement, ...]:
    try:
        text = read_limited(file, _LIMIT).decode("utf-8-sig")
    except OSError as error:
        raise PreconditionError(
            f"cannot read {file}: {error.strerror}", "inv rehearse MIGRATION.sql"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not a text in UTF-8") from error
    if not (found := statements(file.name, text)):
        raise UsageError(f"{file} holds no statement")
    return found


def _production(site: Site) -> tuple[Role, int]:
    """As whom a migration runs there, and under which major version; nothing else is asked."""
    site.report.phase("rehearse.ask", "Asking production for its version and role")
    with site.server() as server, server.connect(site.database) as connection:
        connection.execute("SET default_transaction_read_only = on")
        role, major = current_role(connection), facts.version_num(connection) // 10000
    site.report.ok(f"PostgreSQL {major}, role {role.text}")
    return role, major


def _choose(site: Site) -> tuple[Located, Manifest, tuple[str, ...]]:
    """The newest backup that holds what it should, and why newer ones were passed over."""
    site.report.phase("rehearse.choose", "Choosing the newest trustworthy backup")
    passed_over: list[str] = []
    for backup in site.directory.catalog().ordinary:
        if not backup.managed:
            continue
        located = Located(site.directory.path_of(backup).absolute(), backup, inside=True)
        doubt = _doubt(site, located)
        if not doubt and backup.manifest:
            return located, backup.manifest, tuple(passed_over)
        passed_over.append(f"{backup.name}: {doubt}")
        site.report.warn(f"{backup.name} is not trusted, an older one is used: {doubt}")
    raise UntrustworthyError(
        f"no backup in {site.directory.path} can be trusted"
        if passed_over
        else f"no backups of this tool in {site.directory.path}",
        "inv backup",
    )


def _doubt(site: Site, located: Located) -> str:
    if located.backup.problems:
        return "; ".join(located.backup.problems)
    try:
        examine(site, located)
    except UntrustworthyError as error:
        return error.message.removeprefix(f"{located.backup.name}: ")
    return ""


def _dress_database(admin: Server, manifest: Manifest) -> None:
    """Owner, rights and settings of the database, as they were backed up."""
    if own := attributes.from_manifest(manifest.attributes):
        with admin.connect(databases.MAINTENANCE) as connection:
            attributes.apply(connection, PROVING_DATABASE, own)


def _perform(
    site: Site,
    admin: Server,
    actor: Server,
    role: Role,
    script: tuple[Statement, ...],
    backup: Backup,
    passed_over: tuple[str, ...],
) -> Rehearsal:
    before = _look(site, admin, actor, role)
    site.report.phase("rehearse.run", f"Running {len(script)} statement(s)")
    began = time.monotonic()
    with _session(actor, role) as connection, admin.connect(PROVING_DATABASE) as watcher:
        stage = Stage(connection, watcher, site.settings.deadlines.restore)
        ran, failure = _run(site, stage, script)
    seconds = time.monotonic() - began
    site.report.phase("rehearse.look", "Looking at what has changed")
    after = _look(site, admin, actor, role)
    return Rehearsal(
        backup=backup.name,
        snapshot_at=backup.taken_at,
        passed_over=passed_over,
        server=f"PostgreSQL {admin.programs.version} ({admin.kind} sandbox)",
        role=role.text,
        ran=ran,
        locks=tuple(sorted(stage.locks.values(), key=lambda held: held.table)),
        objects=changes(before.inventory, after.inventory),
        rows=_row_changes(before.rows, after.rows),
        broken=_broken(before.searches, after.searches),
        working=tuple(n for n, why in after.searches.items() if not why),
        idle=tuple(n for n, why in after.searches.items() if why and before.searches.get(n)),
        failure=failure,
        seconds=seconds,
    )


def _run(
    site: Site, stage: Stage, script: tuple[Statement, ...]
) -> tuple[tuple[Ran, ...], Failure | None]:
    done: list[Ran] = []
    for statement in script:
        site.report.info(f"{statement.place}: {statement.head}")
        result = stage.run(statement)
        if isinstance(result, Failure):
            return tuple(done), result
        done.append(result)
    if failure := stage.unfinished(script[-1]):
        return tuple(done), failure
    return tuple(done), None


def _broken(before: dict[str, str], after: dict[str, str]) -> dict[str, str]:
    """Functions that ran before: those that fail now, and those that are gone."""
    gone = "it is gone, or takes other arguments"
    return {
        name: after.get(name, gone)
        for name, why in before.items()
        if not why and after.get(name, gone)
    }


def _row_changes(before: Rows, after: Rows) -> dict[str, tuple[int | None, int | None]]:
    return {
        name: (before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }


def _look(site: Site, admin: Server, actor: Server, role: Role) -> _Look:
    limits = site.settings.deadlines
    with admin.connect(PROVING_DATABASE) as connection:
        inventory = read_inventory(connection, Scope(), timeout=limits.stall)
        rows = {
            f"{t.schema}.{t.name}": _count(connection, t, limits.proof)
            for t in fingerprint.tables(connection, Scope())
        }
    with _session(actor, role) as connection:
        searches = run_searches(connection, timeout=limits.stall)
    return _Look(inventory, rows, searches)


def _count(connection: Connection, table: fingerprint.Table, seconds: float) -> int:
    name = sql.Identifier(table.schema, table.name)
    with deadline(connection, seconds, f"counting {table.schema}.{table.name}"):
        return int(scalar(connection, sql.SQL("SELECT count(*) FROM ONLY {}").format(name)))


@contextlib.contextmanager
def _session(actor: Server, role: Role) -> Iterator[Connection]:
    """A session as the role's own begin, with its search path and its limits."""
    with actor.connect(PROVING_DATABASE) as connection:
        dress(connection, role)
        yield connection
