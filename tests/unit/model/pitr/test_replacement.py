from __future__ import annotations

import pytest

from archon_ops.model.pitr.exchange import (
    Progress,
    Step,
    folders_inside,
    parse_progress,
    way_back,
)
from archon_ops.model.pitr.replacement import (
    DatabaseLoss,
    ReplacementPlan,
    quoted,
    settings_of,
)


def plan(*databases: DatabaseLoss, unknown: str = "") -> ReplacementPlan:
    return ReplacementPlan("a@b/#1", "db", "the cluster of then", databases, unknown=unknown)


@pytest.mark.parametrize(
    ("loss", "loses", "says"),
    [
        (DatabaseLoss("a", 0, 0), False, "nothing"),
        (DatabaseLoss("a", 2, 0), True, "2 rows written since"),
        (DatabaseLoss("a", 0, 3), True, "3 definitions written since"),
        (DatabaseLoss("a", 1, 1), True, "1 rows and 1 definitions"),
        (DatabaseLoss("a", 0, 0, gone=4), True, "4 deleted or changed since come back"),
        (DatabaseLoss("a", 1, 0, gone=1), True, "1 rows written since, 1 deleted or changed"),
        (DatabaseLoss("a", None, None, problem="no right"), True, "cannot be counted: no right"),
        (DatabaseLoss("a", None, None, created=True), True, "is not there afterwards"),
    ],
)
def test_what_cannot_be_counted_counts_as_lost(loss: DatabaseLoss, loses: bool, says: str) -> None:
    assert loss.loses is loses
    assert says in loss.text
    assert plan(loss).losing == (("a",) if loses else ())


def test_every_database_that_loses_has_to_be_named() -> None:
    found = plan(DatabaseLoss("z", 1, 0), DatabaseLoss("idle", 0, 0), DatabaseLoss("a", 1, 0))
    assert found.typed == "a, z"
    assert found.names(" z,a ")
    for wrong in ("", "a", "a,z,idle", "a z", "a,a,z"):
        assert not found.names(wrong), wrong


@pytest.mark.parametrize("name", ["a,b", " first", "last ", 'a"b', '"', '","', "a\nb", "Ä b"])
def test_whatever_its_name_a_database_can_be_named(name: str) -> None:
    found = plan(DatabaseLoss("z", 1, 0), DatabaseLoss(name, 1, 0))
    assert found.names(found.typed)
    assert found.names(f"z,{quoted(name)}")
    assert not found.names("z")


def test_what_a_configuration_says_is_told_without_comments() -> None:
    assert settings_of("# a\n\na = 1 # b\n  b = 2\n") == {"a = 1", "b = 2"}


def test_where_nothing_is_lost_the_target_is_typed() -> None:
    assert plan(DatabaseLoss("a", 0, 0)).typed == "a@b/#1"
    assert plan(DatabaseLoss("a", 0, 0)).names("")


def test_a_server_that_does_not_answer_is_told() -> None:
    found = plan(unknown="it is gone")
    assert found.typed == "a@b/#1"
    assert "not known how much: it is gone" in found.text()


def test_progress_is_read_as_it_was_written() -> None:
    for step in Step:
        progress = Progress(step, "cluster-1/data", "a mark")
        assert parse_progress(progress.text()) == progress
    for text in (
        "",
        "{}",
        "[]",
        '{"step": "arrived"}',
        '{"step": "?", "arriving": "", "kept": ""}',
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - of json, of the step, or ours
            parse_progress(text)


def test_a_folder_that_is_a_mount_of_its_own_stays_behind() -> None:
    mounted = ("/data", "/data/pg_wal", "/data/postgresql.conf", "/data2", "/etc/x", "/")
    assert folders_inside("/data", mounted) == ("/data/pg_wal",)
    assert folders_inside("/data/sub/pgdata", mounted) == ()


def test_what_serves_is_not_taken_back() -> None:
    with pytest.raises(ValueError, match="serves"):
        way_back(Step.SERVING)
    assert way_back(Step.PREPARED) == ()
