"""What is in archived WAL: the time of its last commit, and whether any of it is missing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime

from archon_ops.errors import OpsError
from archon_ops.model.pitr.gaps import Gap, archived_segments, dropped, gaps
from archon_ops.model.pitr.labels import Stock, Window
from archon_ops.model.pitr.wal import last_commit, segment_before
from archon_ops.postgres.pitr.pgbackrest import PgBackRest

_SECONDS = 120.0
# An idle server archives segments without a commit; so many of them are looked through.
_LOOKED_THROUGH = 6
_FOLDER = "/tmp"  # noqa: S108 - on the database's host, where every system has it


def restorable(
    backrest: PgBackRest,
    pg_waldump: str,
    stock: Stock,
    segment_bytes: int,
    run_id: str,
    *,
    archived: str | None = None,
    known: Mapping[Gap, datetime | None] | None = None,
) -> Window:
    """The times that can be restored: from the oldest backup's end to the last archived commit.

    Args:
        backrest: reads the archive.
        pg_waldump: the program, of the server's own version, on the same host.
        stock: what the repositories hold.
        segment_bytes: size of every segment.
        run_id: names what is put aside.
        archived: the last segment that the server took for archived, before `stock` was asked for.
        known: times of the last commit before gaps that were seen already.

    Raises:
        OpsError: the archive cannot be read.
    """
    if not stock.labels or stock.last_wal is None:
        return stock.window(None)

    def commit_in(segment: str) -> datetime | None:
        return last_archived_commit(backrest, pg_waldump, segment, segment_bytes, run_id)

    missing = [*gaps(_segments(backrest, stock), segment_bytes)]
    if end := dropped(archived, stock.last_wal):
        missing.append(end)
    before = known or {}
    lost = {gap: before.get(gap) or commit_in(gap.before) for gap in missing}
    return stock.window(commit_in(stock.last_wal), lost)


def _segments(backrest: PgBackRest, stock: Stock) -> frozenset[str]:
    """Names of all that are archived: a recovery takes each from any repository that has it."""
    path = f"archive/{stock.stanza}/{stock.archive}"
    found: frozenset[str] = frozenset()
    for number in stock.readable:
        listed = backrest.run(
            "repo-ls", f"--repo={number}", "--recurse", positional=(path,), timeout=_SECONDS
        )
        found |= archived_segments(listed)
    return found


def last_archived_commit(
    backrest: PgBackRest, pg_waldump: str, segment: str, segment_bytes: int, run_id: str
) -> datetime | None:
    """UTC time of the last commit in the archive; None where the newest segments hold none.

    Args:
        backrest: reads the archive.
        pg_waldump: the program, of the server's own version, on the same host.
        segment: name of the newest segment that is archived.
        segment_bytes: size of every segment.
        run_id: names what is put aside.

    Raises:
        OpsError: the archive does not give it.
    """
    with _folder(backrest, run_id) as folder:
        name: str | None = segment
        for _ in range(_LOOKED_THROUGH):
            if name is None:
                return None
            if found := _commit_in(backrest, pg_waldump, name, folder):
                return found
            name = segment_before(name, segment_bytes)
    return None


def _commit_in(backrest: PgBackRest, pg_waldump: str, segment: str, folder: str) -> datetime | None:
    path = f"{folder}/{segment}"
    done = backrest.tried("archive-get", timeout=_SECONDS, positional=(segment, path))
    if done.returncode == 1:  # not in the archive, which is no error to pgBackRest
        return None
    if done.returncode != 0:
        raise OpsError(f"the archive does not give back {segment}: {done.reason}")
    # It ends with an error where the segment's records end: what it printed before counts.
    read = backrest.host.run(
        ("env", "TZ=UTC", pg_waldump, "--rmgr=Transaction", f"--path={folder}", segment),
        timeout=_SECONDS,
    )
    return last_commit(read.stdout)


@contextlib.contextmanager
def _folder(backrest: PgBackRest, run_id: str) -> Iterator[str]:
    path = f"{_FOLDER}/archon_ops-{run_id}.wal"
    made = backrest.host.run(("mkdir", "-m", "0700", path), timeout=_SECONDS)
    if made.returncode != 0:
        raise OpsError(f"cannot make {path} on {backrest.host.name}: {made.reason}")
    try:
        yield path
    finally:
        backrest.host.run(("rm", "-r", "-f", path), timeout=_SECONDS)
