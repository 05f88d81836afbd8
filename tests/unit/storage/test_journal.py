from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from archon_ops.model.runs import Result, RunRecord, ended, entered
from archon_ops.storage.alive import is_alive
from archon_ops.storage.directory import Directory
from archon_ops.storage.journal import Journal, new_run_id


def record(at: datetime, pid: int | None = None) -> RunRecord:
    host = socket.gethostname()
    return RunRecord(new_run_id(at), "backup", "demo", at, pid or os.getpid(), host)


@pytest.fixture
def journal(directory: Directory) -> Journal:
    return Journal(directory)


def test_a_run_is_written_down_from_its_start(journal: Journal, now: datetime) -> None:
    assert journal.records() == ()
    first = record(now)
    journal.start(first)
    assert journal.records() == (first,)
    journal.update(entered(first, "backup.dump", now))
    details: dict[str, object] = {"file": "x.dump", "bytes": 5, "list": [1, None, {"a": 1.5}]}
    last = ended(entered(first, "backup.dump", now), now, Result.DONE, 0, details=details)
    journal.finish(last)
    assert journal.records() == (last,)
    (path,) = journal.folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.folder.stat().st_mode) == 0o700


def test_newest_first_and_no_more_than_so_many(directory: Directory, now: datetime) -> None:
    journal = Journal(directory, kept=3)
    runs = [record(now + timedelta(seconds=number)) for number in range(5)]
    for run in runs:
        journal.start(run)
    assert journal.records() == (runs[4], runs[3], runs[2])


def test_damaged_records_are_named_and_hide_nothing(journal: Journal, now: datetime) -> None:
    good, bad = record(now), record(now + timedelta(seconds=1))
    journal.start(good)
    for number, text in enumerate(("", "{}", "[]", '{"id": 1}')):
        (journal.folder / f"20251217T10070{number}Z-0000.json").write_text(text)
    os.mkfifo(journal.folder / f"{bad.id}.json")
    (journal.folder / "notes.txt").write_text("not a record")
    assert journal.records() == (good,)
    assert len(journal.damaged()) == 5


def test_an_id_cannot_leave_the_folder(journal: Journal, now: datetime) -> None:
    with pytest.raises(ValueError, match="run id"):
        journal.start(replace(record(now), id="../../x"))


def test_ids_sort_by_time_and_differ(now: datetime) -> None:
    assert re.fullmatch(r"20251217T100648Z-[0-9a-f]{4}", new_run_id(now))
    assert new_run_id(now) < new_run_id(now + timedelta(seconds=1))
    assert len({new_run_id(now) for _ in range(50)}) > 1


def test_a_killed_run_is_found_out(journal: Journal) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        now = datetime.now(UTC)
        killed, own = record(now, child.pid), record(now)
        elsewhere = replace(record(now, 2**22 + 1), host="another-box")
        reused = record(now - timedelta(days=400))  # our pid, long before we began
        for run in (killed, own, elsewhere, reused):
            journal.start(run)
        assert {r.id for r in journal.close_killed(now)} == {reused.id}
        child.kill()
    (closed,) = journal.close_killed(now)
    assert (closed.id, closed.result, closed.finished_at) == (killed.id, Result.KILLED, now)
    assert journal.close_killed(now) == ()
    states = {r.id: r.result for r in journal.records()}
    assert states[own.id] is Result.RUNNING
    assert states[elsewhere.id] is Result.RUNNING


def test_we_are_alive() -> None:
    assert is_alive(record(datetime.now(UTC)))
    assert is_alive(replace(record(datetime.now(UTC)), pid=1))
