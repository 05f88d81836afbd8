from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from archon_ops.model.pitr.concerns import concern
from archon_ops.model.pitr.gaps import Gap, Hole
from archon_ops.model.pitr.labels import Label
from archon_ops.model.pitr.state import Archiver, State
from archon_ops.model.schedule import parse

DAY = timedelta(days=1)
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


DUE = {"full": parse("Sun 06:00"), "incr": parse("01:00")}


def made(kind: str, age: timedelta) -> Label:
    at = NOW - age
    return Label(f"{at:%Y%m%d}-{kind}", kind, 1, at, at, 100, 100, 30, None, (), "", "")


@pytest.mark.parametrize(
    ("labels", "critical", "said"),
    [
        pytest.param([made("full", 6 * DAY), made("incr", DAY)], None, "", id="in time"),
        pytest.param([made("full", DAY)], None, "", id="a full one does for the other"),
        pytest.param(
            [made("full", 6 * DAY)], True, "newest backup is 6 d old, and", id="none since"
        ),
        pytest.param(
            [made("full", 6 * DAY), made("incr", 1.5 * DAY)], False, "--type incr", id="late"
        ),
        pytest.param(
            [made("full", 16 * DAY), made("incr", DAY)],
            True,
            "newest full backup is 16 d old, and the schedule has one every 7 d (Sun 06:00)",
            id="two weeks left out",
        ),
        pytest.param(
            [replace(made("full", DAY), damaged=True)],
            True,
            "no sound full backup",
            id="a damaged one is none",
        ),
    ],
)
def test_what_the_schedule_left_out(labels: list[Label], critical: bool | None, said: str) -> None:
    found = concern(replace(STATE, labels=tuple(labels)), NOW, DUE)
    assert (found.critical if found else None) == critical
    assert said in (found.text if found else "")


def test_a_backup_of_another_branch_does_not_count() -> None:
    other = made("full", DAY)
    seen = replace(STATE, labels=(other,), elsewhere=(other.name,))
    found = concern(seen, NOW, DUE)
    assert found is not None
    assert "no sound full backup" in found.text
    assert concern(seen, NOW) is None  # nothing is expected without a schedule


def test_what_is_critical_goes_before_what_is_not() -> None:
    found = concern(replace(failing(timedelta(minutes=20)), labels=()), NOW, DUE)
    assert found is not None
    assert found.state == "no full backup"


def test_none_was_made_at_all() -> None:
    assert concern(None, NOW) is None
    found = concern(None, NOW, DUE)
    assert found is not None
    assert found.critical
