"""Rows for people."""

from __future__ import annotations

from archon_ops.cli.table import drawn_table, plain_table


def test_numbers_and_sizes_stand_to_the_right() -> None:
    text = plain_table("T", ["name", "size"], [["a", "1.0 KB"], ["bb", "457.4 KB"], ["c", None]])
    assert text.splitlines() == [
        "T",
        "name      size",
        "----  --------",
        "a       1.0 KB",
        "bb    457.4 KB",
        "c            -",
    ]


def test_no_rows() -> None:
    assert plain_table("", ["name"], []) == "name\n----\n"


def test_markup_in_names_is_text() -> None:
    text = drawn_table("[b]t[/b]", ["[i]c"], [["[red]a[/red]\x1b[2J"]], colour=False)
    assert "[red]a[/red]\\x1b[2J" in text
    assert "[b]t[/b]" in text
    assert "\x1b[2J" not in text
