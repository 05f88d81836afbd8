from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from archon_ops.model.pitr.gaps import Gap, Hole
from archon_ops.model.pitr.state import Archiver, State, concern

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
WELL = Archiver(NOW - timedelta(minutes=1), None, None, 0, 0, 100 << 30)
STATE = State(NOW, "archon", archiver=WELL)


def failing(since: timedelta, waiting: int = 16 << 20, free: int | None = 100 << 30) -> State:
    archiver = Archiver(
        NOW - since, NOW - timedelta(seconds=5), "000000010000000000000007", 40, waiting, free
    )
    return replace(STATE, archiver=archiver)


def test_all_is_well() -> None:
    assert concern(STATE, NOW) is None
    # It failed, and then it worked again.
    again = replace(WELL, last_failed_at=NOW - timedelta(minutes=2), failed_count=3)
    assert concern(replace(STATE, archiver=again), NOW) is None


def test_archiving_fails_longer_and_longer() -> None:
    assert concern(failing(timedelta(minutes=2)), NOW) is None
    warned = concern(failing(timedelta(minutes=20)), NOW)
    assert warned is not None
    assert not warned.critical
    assert "not been archived for 20 min" in warned.text
    assert "000000010000000000000007 fails" in warned.text
    late = concern(failing(timedelta(hours=3)), NOW)
    assert late is not None
    assert late.critical


def test_before_the_disk_fills() -> None:
    # 1 GB waits after two minutes, 5 GB are free: full in ten minutes.
    urgent = concern(failing(timedelta(minutes=2), 1 << 30, 5 << 30), NOW)
    assert urgent is not None
    assert urgent.critical
    assert "full in about 10 min" in urgent.text
    calm = concern(failing(timedelta(minutes=2), 1 << 20, 5 << 30), NOW)
    assert calm is None
    unknown = concern(failing(timedelta(minutes=20), 1 << 30, None), NOW)
    assert unknown is not None
    assert "full in" not in unknown.text


def test_it_never_worked() -> None:
    archiver = replace(WELL, last_archived_at=None, last_failed_at=NOW, last_failed_wal="1")
    found = concern(replace(STATE, archiver=archiver), NOW)
    assert found is not None
    assert found.critical
    assert "from the beginning" in found.text


def test_what_else_is_wrong() -> None:
    off = concern(replace(STATE, archiver=replace(WELL, mode="off")), NOW)
    assert off is not None
    assert "archive_mode is off" in off.text
    gone = concern(replace(STATE, trouble="repository 1: missing"), NOW)
    assert gone is not None
    assert "repository 1: missing" in gone.text
    damaged = concern(replace(STATE, damaged=("invalid checksum: x",)), NOW)
    assert damaged is not None
    assert "invalid checksum: x" in damaged.text


def test_wal_that_was_dropped_wants_a_new_backup() -> None:
    hole = Hole(Gap("000000010000000000000007", ""), NOW - timedelta(hours=1), None)
    found = concern(replace(STATE, holes=(hole,)), NOW)
    assert found is not None
    assert found.critical
    assert found.text == (
        "WAL after 000000010000000000000007 was dropped, and is in no repository: nothing after "
        "2026-11-24T14:00:00Z can be restored until a new backup is taken: inv pitr.backup"
    )
    # What is dropped counts as archived to the server: that archiving fails is said all the same.
    both = concern(replace(failing(timedelta(seconds=9)), holes=(hole,)), NOW)
    assert both is not None
    assert "not been archived for 1 h" in both.text
    ended = replace(hole, until=NOW)
    assert concern(replace(STATE, holes=(ended,)), NOW) is None


def test_a_repository_without_a_backup_only_grows() -> None:
    found = concern(replace(STATE, bare=(2,)), NOW)
    assert found is not None
    assert not found.critical
    assert "inv pitr.backup --repository 2" in found.text
