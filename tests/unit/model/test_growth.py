from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from archon_ops.model import growth
from archon_ops.model.decisions import GB, MB, Decision, Settings, decisions, table
from archon_ops.model.history import History, Point, history
from archon_ops.model.policy import Policy

NOW = datetime(2026, 1, 31, tzinfo=UTC)
SETTINGS = Settings(
    Policy(),
    free_bytes=100 * GB,
    stored_bytes=0,
    backup_time=timedelta(minutes=10),
    recovery_time=timedelta(minutes=10),
    recovery_point=timedelta(hours=24),
    offsite=False,
)


def past(count: int = 40, *, step: float = 10 * MB, hours: float = 24, first: int = GB) -> History:
    """Backups of a tenth of the database, one every `hours`, growing by about `step` each."""
    points = []
    for number in range(count):
        size = first + round(number * step) + (number % 3) * 8192
        at = NOW - timedelta(hours=hours * (count - 1 - number))
        points.append(
            Point(
                at,
                "1",
                "postgres",
                size,
                (),
                {},
                f"{number}.dump",
                size // 10,
                size / (10 * MB),
                str(number),
            )
        )
    return history(points, NOW)


def rates(known: History) -> growth.Rates:
    return growth.measured_rates(known, [(GB, 200.0)])


def decided(known: History, settings: Settings = SETTINGS) -> dict[str, Decision]:
    found = growth.grow(known, rates(known), growth.kept_backups(settings.policy, 0, 0))
    return {d.what: d for d in decisions(found, known, settings)}


def test_a_limit_on_a_straight_way_is_dated() -> None:
    known = past(step=100 * MB)  # 5 GB now, a backup 0.5 GB and 10 MB more a day
    when = decided(known)["a backup is larger than 1 GB"].due

    assert when is not None
    assert when.earliest is not None
    assert when.expected is not None
    assert when.latest is not None
    true = NOW + timedelta(days=(10 * GB - known.points[-1].database_bytes) / (100 * MB))
    assert abs(when.expected - true) < timedelta(days=3)
    assert when.earliest <= when.expected <= when.latest


def test_a_limit_that_is_passed_says_now() -> None:
    known = past(first=200 * GB)
    found = decided(known)

    assert found["a backup is larger than 1 GB"].answer == "now"
    assert found["the database is larger than 100 GB: WAL archiving"].answer == "now"


def test_what_does_not_grow_passes_nothing() -> None:
    found = decided(past(step=0.0))

    assert found["a backup is larger than 1 GB"].answer == "not within 5 years"


def test_the_disk_counts_what_lies_there_already() -> None:
    known = past(step=0.0)  # 10 backups of a tenth of 1 GB
    enough = replace(SETTINGS, free_bytes=0, stored_bytes=2 * GB)
    short = replace(SETTINGS, free_bytes=100 * MB, stored_bytes=0)

    assert "not within" in decided(known, enough)["the disk holds fewer than 10 backups"].answer
    assert decided(known, short)["the disk holds fewer than 10 backups"].answer == "now"


def test_ten_hourly_backups_are_ten_hours() -> None:
    found = decided(past(hours=1))["how far back the retention reaches"]

    assert found.answer == "10 backups, one every 1 h = 10 h of history"
    assert found.to_do == "retention.daily = 7"


@pytest.mark.parametrize(
    ("known", "says"),
    [
        (past(hours=72), "more are due"),
        (past(10, step=GB, hours=12), "more are due"),
        (past(step=MB), "it fits"),
        (History(tuple(replace(p, content="same") for p in past().points)), "fewer would do"),
        (History(tuple(replace(p, content=None) for p in past().points)), "too few backups"),
    ],
)
def test_the_frequency_is_held_against_what_changes(known: History, says: str) -> None:
    assert says in decided(known)["whether backups are as frequent as changes"].answer


def test_the_documents_recommendation_is_held_against_what_is_set() -> None:
    what = "the document's recommendation"
    critical = replace(SETTINGS, policy=Policy(last=20), offsite=True)

    assert "production asks for 20" in decided(past())[what].answer
    assert "critical systems (copies elsewhere)" in decided(past(), critical)[what].answer


def test_point_in_time_recovery_pays_when_a_dump_takes_longer_than_promised() -> None:
    what = "a dump takes too long to restore: point-in-time recovery pays"
    measured = replace(SETTINGS, files_back=20.0 / GB)
    known = past(step=100 * MB)  # 200 s for each GB, so 10 minutes at 3 GB
    assert decided(known)[what].answer == "now"
    assert decided(known)[what].to_do == "inv pitr.setup"
    assert "back in 1 min" in decided(known, measured)[what].to_do
    assert decided(past(first=GB, step=0.0))[what].answer == "not within 5 years"


def test_what_was_never_measured_is_not_known() -> None:
    known = past()
    found = growth.grow(known, growth.measured_rates(known, []), 10)
    answers = {d.what: d for d in decisions(found, known, SETTINGS)}

    recovery = answers["recovery time passes its objective of 10 min"]
    assert recovery.answer == "not known: never measured"
    assert recovery.to_do == "inv verify latest --restore"


def test_the_documents_table_stands_beside_what_was_measured() -> None:
    rows = table(rates(past()), 10)

    assert [r.database_bytes for r in rows] == [11 * MB, 100 * MB, GB, 10 * GB]
    assert rows[1].document_backup_bytes == 50 * MB
    assert rows[1].backup_bytes == pytest.approx(10 * MB, rel=0.01)
    assert rows[1].storage_bytes == 10 * (rows[1].backup_bytes or 0)
    assert rows[2].recovery_seconds == pytest.approx(200.0)


def test_a_jump_is_dated() -> None:
    points = [
        replace(p, database_bytes=p.database_bytes + (GB if i >= 20 else 0))
        for i, p in enumerate(past(step=MB).points)
    ]
    known = History(tuple(points))

    (jump,) = growth.grow(known, rates(known), 10).marked
    assert jump.at == points[20].at
    assert jump.bytes == pytest.approx(GB, rel=0.01)


def test_date_far_beyond_the_history_is_marked() -> None:
    found = decided(past(8, step=MB, hours=1))["a backup is larger than 1 GB"]

    assert found.far
