"""pg_restore into a database that nobody uses yet, with enough memory for every index."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from archon_ops.errors import OpsError, UntrustworthyError
from archon_ops.hosts.process import Finished
from archon_ops.postgres.messages import complaints, failure
from archon_ops.postgres.programs import LIST_SUFFIX
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import deadline

# No trigger and no foreign key exists while rows are loaded, so none can fire or fail.
SECTIONS = ("pre-data", "data", "post-data")
# An ivfflat index over 20,000 vectors of 1,536 dimensions is trained in 65 MB; PostgreSQL's
# default is 64 MB, and pg_restore goes on without the index. This is room for 80,000.
MAINTENANCE_MEMORY = "256MB"
_POLL_SECONDS = 0.2
# What pg_restore says where the server, or somebody who ended a process, is the reason.
_AROUND = re.compile(
    r"server closed the connection|terminating connection|connection to server|died unexpectedly"
    r"|database system is|canceling statement"
)
_REFUSED = re.compile(r"could not execute query|COPY failed for table|could not (read|uncompress)")

# Puts bytes into a file of this suffix that is gone after the block, whatever kills us.
FileOf = Callable[[bytes, str], AbstractContextManager[Path]]


def session_settings(small_shared_memory: bool) -> dict[str, str]:
    """Server settings for the sessions of pg_restore and of index builds.

    Args:
        small_shared_memory: whether /dev/shm is too small for parallel builds (64 MB in a
            container); they would fail there.
    """
    settings = {
        "maintenance_work_mem": MAINTENANCE_MEMORY,
        "synchronous_commit": "off",
        "statement_timeout": "0",
        "lock_timeout": "0",
    }
    if small_shared_memory:
        settings["max_parallel_maintenance_workers"] = "0"
    return settings


def restore_into(
    server: Server,
    database: str,
    dump: Path,
    *,
    timeout: float,
    progress: Callable[[str, float], None] = lambda *_: None,
    settings: Mapping[str, str] | None = None,
    role: str | None = None,
) -> None:
    """Restore a whole dump, section by section, and gather statistics.

    Args:
        server: where; its tools must know the dump's format and compression.
        database: an empty database that nobody else uses.
        dump: a dump that was already found intact.
        timeout: seconds for each section.
        progress: told the section and the seconds that it has run, several times a second.
        settings: server settings of its sessions.
        role: role to become, None to stay oneself.

    Raises:
        UntrustworthyError: the server takes something in the dump for wrong.
        OpsError: pg_restore failed, or said something that is not known to be harmless.
    """
    options = settings or session_settings(server.programs.small_shared_memory)
    with server.staged(dump) as path:
        for section in SECTIONS:
            _restore_section(server, database, path, section, timeout, progress, options, role)
    with server.connect(database) as connection, deadline(connection, timeout, "ANALYZE"):
        connection.execute("ANALYZE")


def _restore_section(
    server: Server,
    database: str,
    dump: str,
    section: str,
    timeout: float,
    progress: Callable[[str, float], None],
    options: Mapping[str, str],
    role: str | None,
) -> None:
    jobs = () if section == "pre-data" else (f"--jobs={max(2, os.cpu_count() or 1)}",)
    arguments = (*jobs, *((f"--role={role}",) if role else ()), dump)
    run(server, database, section, arguments, timeout, progress, options)


def restore_entries(
    server: Server,
    database: str,
    dump: str,
    section: str,
    entries: Iterable[int],
    *,
    file_of: FileOf,
    timeout: float,
    progress: Callable[[str, float], None] = lambda *_: None,
    arguments: tuple[str, ...] = (),
) -> None:
    """Restore some entries of one section; of a dump's data, only theirs is read.

    Args:
        server: where; its tools must know the dump's format and compression.
        database: a database that nobody else uses.
        dump: what `server.staged` answers for a dump that was already found intact.
        section: pre-data, data or post-data.
        entries: their numbers in the dump's table of contents.
        file_of: makes the file that names them.
        timeout: seconds for it.
        progress: told the section and the seconds that it has run, several times a second.
        arguments: more arguments of pg_restore.

    Raises:
        UntrustworthyError: the server takes something in the dump for wrong.
        OpsError: pg_restore failed, or said something that is not known to be harmless.
    """
    options = session_settings(server.programs.small_shared_memory)
    chosen = "".join(f"{number};\n" for number in entries).encode()
    with file_of(chosen, LIST_SUFFIX) as file, server.staged(file) as wanted:
        more = (*arguments, f"--use-list={wanted}", dump)
        run(server, database, section, more, timeout, progress, options)


def run(
    server: Server,
    database: str,
    section: str | None,
    arguments: tuple[str, ...],
    timeout: float,
    progress: Callable[[str, float], None],
    options: Mapping[str, str],
) -> None:
    """Run pg_restore to its end, for one section, or for all of a dump where that is None.

    Raises:
        UntrustworthyError: the server takes something in the dump for wrong.
        OpsError: it failed, or said something that is not known to be harmless.
    """
    what = section or "the dump"
    progress(what, 0.0)
    with server.spawn(
        "pg_restore",
        *((f"--section={section}",) if section else ()),
        "--exit-on-error",
        *arguments,
        database=database,
        options=options,
    ) as child:
        waited = 0.0
        while child.running():
            if waited > timeout:
                raise OpsError(
                    f"restoring {what} did not end within {timeout:.0f} s",
                    "look at the server's load; the limit is deadlines.restore",
                )
            progress(what, waited)
            child.pause(_POLL_SECONDS)
            waited += _POLL_SECONDS
        done = child.wait(timeout)
    if done.returncode != 0:
        raise _failure(done, f"restoring {what}")
    if lines := complaints(done.stderr):
        raise OpsError(
            f"pg_restore said something unexpected: {lines[0]}",
            "the restore was not kept; report the message if it is harmless",
        )


def _failure(done: Finished, doing: str) -> OpsError:
    """What ended pg_restore: the dump, or what happened around it."""
    error = failure(done, doing)
    ended = done.returncode < 0 or _AROUND.search(done.stderr)
    if type(error) is not OpsError or ended or not _REFUSED.search(done.stderr):
        return error
    return UntrustworthyError(error.message, "inv backups lists the others; inv verify all")
