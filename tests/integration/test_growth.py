from __future__ import annotations

from datetime import timedelta

import pytest

from archon_ops.model.history import DAY_SECONDS, Point, history, point_of
from archon_ops.storage import points
from tests.support import MB, Installation


def _remember(installation: Installation, *ago: timedelta) -> Point:
    """Give it points of a past, 100 KB smaller for every day; its newest point."""
    directory = installation.site().directory
    manifest = directory.catalog().newest_first[0].manifest
    assert manifest is not None
    newest = point_of(manifest)
    for before in ago:
        size = newest.database_bytes - round(before.total_seconds() / DAY_SECONDS * 100_000)
        at, of = newest.at - before, (newest.system_identifier, newest.database)
        points.append(directory, Point(at, *of, size, (), {}))
    return newest


def test_a_short_history_is_refused_and_says_what_to_do(installation: Installation) -> None:
    done = installation.run("growth").ended(3)

    assert "has 1 point, a projection needs 4" in done.stderr
    assert "inv size-audit --save" in done.stderr


@pytest.mark.slow
def test_minutes_are_no_history_however_many_points_they_have(installation: Installation) -> None:
    _remember(installation, *(timedelta(minutes=5 * n) for n in range(1, 13)))
    done = installation.run("growth", "--json").ended(3)

    assert done.json["error"]["message"].startswith("too little history of demo: it has 13 points")
    assert "within 1 h, a projection needs at least 2 d" in done.json["error"]["message"]
    _remember(installation, timedelta(days=2))
    assert installation.run("growth", "--json").ok().json["label"] == "little history"


def test_no_backups_at_all_are_refused(installation: Installation) -> None:
    for path in installation.backups.glob("archon_postgres-*"):
        path.unlink()
    (installation.backups / ".ops" / "sizes.jsonl").unlink()

    assert "has 0 points" in installation.run("growth").ended(3).stderr


@pytest.mark.slow
def test_growth_is_projected_without_the_database(installation: Installation) -> None:
    newest = _remember(installation, *(timedelta(days=days) for days in range(1, 31)))
    other = Point(newest.at - timedelta(days=2), "another", "postgres", 1, (), {})
    points.append(installation.site().directory, other)

    answer = installation.run("growth", "--json").ok().json

    assert answer["points"] == 31
    assert answer["label"] == ""
    assert 95_000 < answer["drift_bytes_per_day"] < 105_000
    assert answer["notes"] == ["1 point left out, of another server or database"]
    names = {s["name"] for s in answer["series"]}
    assert names >= {"database", "backup", "local storage", "offsite storage", "backup time"}
    assert len(answer["table"]) == 4
    text = installation.run("growth").ok()
    assert "Decisions" in text.stdout
    assert history([newest], newest.at).newest == newest


@pytest.mark.slow
def test_calibration_predicts_the_backup_of_a_database_four_times_larger() -> None:
    small, large = Installation.make(), Installation.make()
    try:
        small.make_demo(14 * MB)
        done = small.run("growth", "--calibrate", "--up-to", "60MB")
        assert (
            "a projection needs 4" in done.ended(3).stderr
        )  # the calibration is kept all the same
        _remember(small, *(timedelta(days=days) for days in range(1, 4)))
        line = small.run("growth", "--json").ok().json["rates"]["backup_bytes"]

        large.make_demo(4 * 14 * MB)
        (point,), _ = points.read(large.site().directory)
        predicted = line["fixed"] + line["per_database_byte"] * point.database_bytes

        assert point.backup_bytes == pytest.approx(predicted, rel=0.15)
        assert not list((small.root / ".archon" / "sandboxes").glob("archon_sandbox*"))
    finally:
        small.teardown()
        large.teardown()


@pytest.mark.slow
def test_calibration_without_rows_or_room_says_so(installation: Installation) -> None:
    huge = installation.run("growth", "--calibrate", "--up-to", "900TB").ended(3)
    assert "not enough room" in huge.stderr
    assert (
        "tell nothing"
        in installation.run("growth", "--calibrate", "--up-to", "5MB").ended(2).stderr
    )
    assert "--up-to" in installation.run("growth", "--up-to", "1MB").ended(2).stderr
    with installation.connect() as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.execute("CREATE TABLE public.archon_tasks (id int)")
    assert "have no rows" in installation.run("growth", "--calibrate").ended(3).stderr
