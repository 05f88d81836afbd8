from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from archon_ops.model.backup import Backup, Extension, Manifest
from archon_ops.model.fingerprint import SequencePosition, TableFingerprint
from archon_ops.model.proof import Found, prove

TASKS = TableFingerprint("public", "archon_tasks", 2, "1:2:3:4", None, ("id", "title"))
PAGES = TableFingerprint("public", "archon_pages", 3, "5:6:7:8", "9:9:9:9", ("id",))
SEQUENCE = SequencePosition("public", "ids", 7, 7)


@pytest.fixture
def manifest(backup: Callable[..., Backup]) -> Manifest:
    made = backup(1).manifest
    assert made is not None
    return replace(
        made,
        tables=(TASKS, PAGES),
        sequences=(SEQUENCE,),
        inventory={"table public.archon_tasks": "d1"},
        extensions=(Extension("vector", "0.8", "public"),),
    )


@pytest.fixture
def found(manifest: Manifest) -> Found:
    """Just what was backed up."""
    return Found(
        manifest.server.major,
        manifest.tables,
        manifest.sequences,
        dict(manifest.inventory),
        {"vector": "0.8"},
        {"owner": "postgres"},
    )


def test_the_same_is_equal(manifest: Manifest, found: Found) -> None:
    proof = prove(manifest, found, {"owner": "postgres"})
    assert (proof.equal, proof.problems, proof.not_proven) == (True, (), ())
    assert [(t.table, t.rows_expected, t.rows_found, t.equal) for t in proof.tables] == [
        ("public.archon_pages", 3, 3, True),
        ("public.archon_tasks", 2, 2, True),
    ]


@pytest.mark.parametrize(
    ("tables", "problem"),
    [
        (
            (replace(TASKS, rows=1), PAGES),
            "table public.archon_tasks: 2 rows expected, 1 rows found",
        ),
        (
            (replace(TASKS, content="1:2:3:5"), PAGES),
            "table public.archon_tasks: 2 rows expected, 2 rows found, content differs",
        ),
        (
            (replace(TASKS, columns=("id",)), PAGES),
            "table public.archon_tasks: 2 rows expected, 2 rows found, content differs",
        ),
        (
            (TASKS, replace(PAGES, generated="0:0:0:0")),
            "table public.archon_pages: 3 rows expected, 3 rows found, content differs",
        ),
        ((PAGES,), "table public.archon_tasks: 2 rows expected, no table found"),
        (
            (TASKS, PAGES, replace(TASKS, table="more")),
            "table public.more: no table expected, 2 rows found",
        ),
    ],
)
def test_every_table_counts(
    manifest: Manifest, found: Found, tables: tuple[TableFingerprint, ...], problem: str
) -> None:
    proof = prove(manifest, replace(found, tables=tables), None)
    assert not proof.equal
    assert proof.problems == (problem,)


def test_objects_and_attributes_count(manifest: Manifest, found: Found) -> None:
    other = replace(found, inventory={"table x": "d"}, attributes={"owner": "eve", "more": "x"})
    proof = prove(manifest, other, {"owner": "postgres"})
    assert proof.inventory.differences == (
        "table public.archon_tasks: missing",
        "table x: not in the backup",
    )
    assert proof.attributes.differences == (
        "database more: not in the backup",
        "database owner: defined otherwise",
    )
    assert (proof.equal, proof.inventory.equal, proof.attributes.equal) == (False, False, False)


def test_attributes_are_left_out_where_there_is_nothing_to_compare(
    manifest: Manifest, found: Found
) -> None:
    assert prove(manifest, replace(found, attributes={"owner": "eve"}), None).equal


@pytest.mark.parametrize(
    ("expected", "now", "problem"),
    [
        ((7, 7, 1), (7, 7), None),
        ((7, 7, 1), (9, 7), None),  # pg_dump read it after the snapshot
        ((7, 7, 1), (6, 7), "at 6, was at 7"),
        ((7, 7, 1), (None, 7), "unused, was at 7"),
        ((None, None, 1), (None, None), None),
        ((0, 0, 1), (None, 0), "unused, was at 0"),
        ((7, 7, 1), (8, 9), "at 8, its column holds 9"),
        ((3, 7, 1), (3, 7), None),  # it lagged behind its column before
        ((None, 7, 1), (None, 7), None),
        ((-7, -7, -1), (-9, -7), None),
        ((-7, -7, -1), (-6, -7), "at -6, was at -7"),
        ((-7, -7, -1), (None, -7), "unused, was at -7"),
        ((-7, -7, -1), (-7, -8), "at -7, its column holds -8"),
        ((7, None, 0), (2, None), None),  # it may have begun again
    ],
)
def test_a_sequence_may_be_ahead_and_never_behind(
    manifest: Manifest,
    found: Found,
    expected: tuple[int | None, int | None, int],
    now: tuple[int | None, int | None],
    problem: str | None,
) -> None:
    wanted = SequencePosition("public", "ids", *expected)
    there = SequencePosition("public", "ids", *now, expected[2])
    proof = prove(replace(manifest, sequences=(wanted,)), replace(found, sequences=(there,)), None)
    assert proof.problems == (() if problem is None else (f"sequence public.ids: {problem}",))


def test_a_missing_sequence_is_named_once_by_the_inventory(
    manifest: Manifest, found: Found
) -> None:
    wanted = replace(manifest, inventory={**manifest.inventory, "sequence public.ids": "d"})
    proof = prove(wanted, replace(found, sequences=()), None)
    assert proof.problems == ("sequence public.ids: missing",)


def test_another_major_version_compares_names_and_says_so(manifest: Manifest, found: Found) -> None:
    newer = replace(
        found,
        major=found.major + 1,
        inventory={"table public.archon_tasks": "printed otherwise"},
        tables=(TASKS, replace(PAGES, generated="0:0:0:0")),
    )
    proof = prove(manifest, newer, None)
    assert proof.equal
    assert "names were compared" in proof.not_proven[0]
    assert not prove(manifest, replace(newer, inventory={}), None).equal
    changed = (TASKS, replace(PAGES, content="0:0:0:0"))
    assert not prove(manifest, replace(newer, tables=changed), None).equal


def test_another_version_of_an_extension_is_said(manifest: Manifest, found: Found) -> None:
    proof = prove(manifest, replace(found, extensions={"vector": "0.9"}), None)
    assert proof.equal
    assert proof.not_proven == ("extension vector was 0.8, is 0.9",)


def test_the_document(manifest: Manifest, found: Found) -> None:
    document = prove(manifest, replace(found, tables=(TASKS,)), {"owner": "eve"}).document()
    assert document == {
        "equal": False,
        "tables": [
            {
                "table": "public.archon_pages",
                "rows_expected": 3,
                "rows_found": None,
                "equal": False,
            },
            {"table": "public.archon_tasks", "rows_expected": 2, "rows_found": 2, "equal": True},
        ],
        "inventory": {"equal": True, "differences": []},
        "attributes": {"equal": False, "differences": ["database owner: defined otherwise"]},
        "retrieval": {
            "equal": True,
            "differences": [],
            "questions": 0,
            "recall": {},
            "functions": {},
            "credentials": "not checked",
        },
        "not_proven": [],
    }
