"""What is in archived WAL: the time of its last commit, and whether any of it is missing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice

from archon_ops.errors import OpsError
from archon_ops.model.pitr.gaps import Gap, dropped, gaps
from archon_ops.model.pitr.labels import Window
from archon_ops.model.pitr.stock import Stock
from archon_ops.model.pitr.timelines import Branch
from archon_ops.model.pitr.wal import last_commit, timeline_of
from archon_ops.postgres.pitr.archive import Archive
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
        stock: what the repositories hold of a branch, or else of their newest timeline.
        segment_bytes: size of every segment.
        run_id: names what is put aside.
        archived: the last segment that the server took for archived, before `stock` was asked for.
        known: times of the last commit before gaps that were seen already.

    Raises:
        OpsError: the archive cannot be read.
    """
    if not stock.labels or stock.last_wal is None:
        return stock.window(None)

    branch = stock.branch or Branch(timeline_of(stock.last_wal))
    chain = branch.own(Archive(backrest, stock).segments(), segment_bytes)
    if not chain:
        return stock.window(None)

    def commit_in(segment: str) -> datetime | None:
        back = islice(branch.back_from(segment, segment_bytes), _LOOKED_THROUGH)
        return _last_commit(backrest, pg_waldump, back, run_id)

    missing = [*gaps(chain, segment_bytes)]
    if end := dropped(archived, chain[-1]):
        missing.append(end)
    before = known or {}
    lost = {gap: before.get(gap) or commit_in(gap.before) for gap in missing}
    return stock.window(commit_in(chain[-1]), lost)


def _last_commit(
    backrest: PgBackRest, pg_waldump: str, segments: Iterable[str], run_id: str
) -> datetime | None:
    """UTC time of the last commit in segments, newest first; None where they hold none.

    Args:
        backrest: reads the archive.
        pg_waldump: the program, of the server's own version, on the same host.
        segments: names of those that are looked through.
        run_id: names what is put aside.

    Raises:
        OpsError: the archive does not give it.
    """
    with _folder(backrest, run_id) as folder:
        for name in segments:
            if found := _commit_in(backrest, pg_waldump, name, folder):
                return found
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
