from __future__ import annotations

from archon_ops.model.shown import Table, facts
from archon_ops.runbook.look import look


def test_names_from_a_database_do_not_act_on_a_page() -> None:
    shown = look(Table("Tables", ("name",), (("<script>alert(1)</script>",),)))._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_text_is_a_table_too() -> None:
    assert repr(look(facts("Found", ("rows", 3), ("head", None)))) == "Found\nrows  3\nhead  -"


def test_things_that_know_how_they_are_shown_may_be_mixed_with_tables() -> None:
    class Thing:
        def shown(self) -> tuple[Table, ...]:
            return (facts("One", ("a", 1)), facts("Two", ("b", 2)))

    assert repr(look(facts("Zero"), Thing())).count("\n\n") == 2
