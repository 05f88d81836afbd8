"""Only the tables that a rescue needs are loaded."""

from __future__ import annotations

import pytest

from archon_ops.actions.rescue.planning import tables_needed
from archon_ops.postgres.relations import OnDelete, Reference


def link(child: str, parent: str, on_delete: OnDelete) -> Reference:
    return Reference("", ("public", child), ("x",), ("public", parent), ("id",), on_delete)


LINKS = (
    link("pages", "sources", "cascade"),
    link("chunks", "sources", "cascade"),
    link("chunks", "pages", "clear"),
    link("tasks", "projects", "cascade"),
    link("tasks", "tasks", "cascade"),
    link("versions", "tasks", "cascade"),
    link("versions", "projects", "cascade"),
    link("notes", "projects", "nothing"),
)


@pytest.mark.parametrize(
    ("table", "changed", "needed"),
    [
        ("tasks", False, {"tasks", "versions", "projects"}),
        ("projects", False, {"tasks", "versions", "projects"}),
        ("notes", False, {"notes", "projects"}),
        ("sources", False, {"sources", "pages", "chunks"}),
        ("pages", False, {"pages", "sources"}),
        ("pages", True, {"pages", "sources", "chunks"}),
        ("chunks", False, {"chunks", "pages", "sources"}),
    ],
)
def test_tables_needed(table: str, changed: bool, needed: set[str]) -> None:
    found = tables_needed(("public", table), LINKS, changed=changed)
    assert {name for _, name in found} == needed
