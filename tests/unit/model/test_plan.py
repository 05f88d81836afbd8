from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from archon_ops.model.backup import Backup
from archon_ops.model.plan import Loss, RestorePlan, target_of


@pytest.fixture
def plan(backup: Callable[..., Backup]) -> RestorePlan:
    return RestorePlan(
        target="demo@localhost/postgres#4711",
        scope="database",
        database="postgres",
        in_place=True,
        target_exists=True,
        backup=backup(7.7, kind="restored"),
        path="/backups/x.dump",
        identities=("123", "456"),
        estimated_seconds=75.04,
        losses=(
            Loss("public.archon_tasks", 12, 10, 3, 2),
            Loss("public.archon_pages", 5, 5, 0, 0),
            Loss("public.archon_new", 4, None, None, 4),
            Loss("public.archon_gone", None, 6, None, 0),
            Loss("public.archon_broken", None, 6, None, 0, "invalid page"),
        ),
        basis="rows newer than the snapshot",
        counted=True,
        dropped=(("archon_before_1", 2048),),
        notes=("services keep running",),
    )


def test_a_target_ends_in_the_last_of_the_identifier() -> None:
    target = target_of("demo", "localhost", "postgres", "7576543210987654321")
    assert target == "demo@localhost/postgres#4321"


@pytest.mark.parametrize(
    ("newer", "absent", "lost"), [(3, 2, 3), (2, 3, 3), (None, 4, 4), (None, 0, 0), (0, 0, 0)]
)
def test_lost_is_the_worse_of_both_counts(newer: int | None, absent: int, lost: int) -> None:
    assert Loss("t", 1, 1, newer, absent).lost == lost


def test_the_text_says_what_from_when_how_large_how_long_and_what_is_lost(
    plan: RestorePlan,
) -> None:
    assert plan.text().splitlines() == [
        "Restore  archon_postgres-20251217_022448.dump (457.4 KB), "
        "database as of 2025-12-17T02:24:48Z",
        "Proven   by a restore at 2025-12-17T02:25:48Z",
        "Into     demo@localhost/postgres#4711 (scope database)",
        "Time     about 1 min 15 s",
        "Before   the present postgres stays in service until the new one is proven",
        "After    the present postgres is kept; inv undo brings it back",
        "Drops    archon_before_1 (2.0 KB), kept by an earlier restore",
        "Loss     7 live rows are newer than the backup and leave service "
        "(rows newer than the snapshot)",
        "         public.archon_tasks: 12 rows now, 10 rows in the backup, 3 of those now are lost",
        "         public.archon_new: 4 rows now, no table in the backup, 4 of those now are lost",
        "         public.archon_gone: no table now, 6 rows in the backup",
        "         public.archon_broken: cannot be read: invalid page",
        "Note     services keep running",
    ]


def test_beside_nothing_leaves_service(plan: RestorePlan, backup: Callable[..., Backup]) -> None:
    beside = replace(
        plan,
        in_place=False,
        target_exists=False,
        losses=(),
        basis="there is no such database",
        dropped=(),
        backup=backup(1),
    )
    text = beside.text()
    assert "Loss     none: there is no such database" in text
    assert "Proven   never by a restore; trust: checked" in text
    assert "undo" not in text


def test_what_cannot_be_counted_is_not_called_none(plan: RestorePlan) -> None:
    blind = replace(plan, losses=(), counted=False, basis="the backup has no manifest")
    assert "Loss     cannot be counted" in blind.text()
    assert blind.document()["rows_lost"] is None


def test_the_document_is_json_with_the_same_numbers(plan: RestorePlan) -> None:
    document = json.loads(json.dumps(plan.document()))
    assert (document["rows_lost"], document["estimated_seconds"]) == (7, 75.0)
    assert document["snapshot_at"] == "2025-12-17T02:24:48Z"
    assert document["proven_at"] == "2025-12-17T02:25:48Z"
    assert [t["problem"] for t in document["tables"]] == [None] * 4 + ["invalid page"]
    assert [t["lost"] for t in document["tables"]] == [3, 0, 4, 0, 0]
    assert document["drops"] == ["archon_before_1"]
    assert document["system_identifier_of_backup"] == "123"


def test_archon_alone_is_told_with_room_safety_and_what_leaves(plan: RestorePlan) -> None:
    part = replace(
        plan,
        scope="archon",
        leaving=("table archon_extra",),
        needed_bytes=2048,
        free_bytes=4096,
        safety=True,
        keeps=False,
    )
    lines = part.text().splitlines()
    assert "Room     about 2.0 KB needed, 4.0 KB free" in lines
    assert "Safety   a backup of what is live is taken first, into safety/" in lines
    assert "Others   nothing that is not Archon's is touched" in lines
    assert "Leaves   table archon_extra, which the backup does not have" in lines
    assert not [line for line in lines if line.startswith("After")]
    kept = replace(part, keeps=True, free_bytes=None).text()
    assert "After    Archon's present objects are kept; inv undo brings them back" in kept
    assert "Room     about 2.0 KB needed, unknown" in kept


def test_what_cannot_be_read_is_named_by_table_or_as_a_whole(plan: RestorePlan) -> None:
    assert plan.unreadable == ("public.archon_broken: invalid page",)
    blind = replace(plan, losses=(), counted=False, basis="it lets nobody in")
    assert blind.unreadable == ("database postgres: it lets nobody in",)
