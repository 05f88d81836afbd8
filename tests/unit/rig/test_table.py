from __future__ import annotations

from datetime import UTC, datetime

from archon_ops.rig import projects, records, table


def test_identities_depend_on_seed_and_name_alone() -> None:
    assert table.identity(0, "task", 1) == table.identity(0, "task", 1)
    assert table.identity(0, "task", 1) != table.identity(1, "task", 1)
    assert table.identity(0, "task", 1) != table.identity(0, "task", 2)


def test_times_count_from_a_fixed_one() -> None:
    assert table.moment(90) == datetime(2025, 10, 1, 9, 30, tzinfo=UTC)


def test_every_row_has_a_value_for_each_column() -> None:
    for made in (*projects.tables(0, ("a", "b", "c", "d")), *records.tables(0, "key")):
        widths = {len(row) for row in made.rows}
        assert widths == {len(made.columns)}, made.name
