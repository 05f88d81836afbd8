from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from archon_ops.model.runs import (
    Result,
    RunRecord,
    ended,
    entered,
    failing,
    last_failure,
    last_success,
)

START = datetime(2025, 12, 17, 2, 0, tzinfo=UTC)


def run(minute: int, result: Result, action: str = "backup") -> RunRecord:
    at = START + timedelta(minutes=minute)
    return RunRecord(f"id{minute}", action, "demo", at, 1, "box", result=result)


def test_a_run_enters_phases_and_ends() -> None:
    record = entered(run(0, Result.RUNNING), "backup.dump", START)
    assert record.seconds is None
    done = ended(record, START + timedelta(seconds=9), Result.DONE, 0, details={"file": "x"})
    assert (done.seconds, done.exit_code, done.details) == (9, 0, {"file": "x"})
    assert [phase.name for phase in done.phases] == ["backup.dump"]
    assert record.result is Result.RUNNING


def test_the_last_of_each_kind() -> None:
    done, failed = run(1, Result.DONE), run(2, Result.KILLED)
    other, running = run(3, Result.DONE, "verify"), run(4, Result.RUNNING)
    records = (running, failed, done, run(0, Result.DONE), other)
    assert last_success(records, "backup") == done
    assert last_failure(records, "backup") == failed
    assert last_failure(records, "verify") is None
    assert failing(records, "backup")
    assert not failing(records, "verify")
    assert not failing((), "backup")


@pytest.mark.parametrize(
    ("action", "code", "alarming"),
    [("restore", 3, False), ("undo", 2, False), ("restore", 1, True), ("backup", 3, True)],
)
def test_what_a_person_was_refused_is_no_failure_of_the_backups(
    action: str, code: int, alarming: bool
) -> None:
    turned_down = replace(run(2, Result.FAILED, action), exit_code=code)
    records = (turned_down, run(1, Result.DONE, action))
    assert failing(records, action) is alarming
    assert (last_failure(records, action) is not None) is alarming
    older = (turned_down, run(1, Result.FAILED, action))
    assert failing(older, action), "what failed before is not mended by a refusal"
