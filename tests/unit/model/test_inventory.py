from __future__ import annotations

import pytest

from archon_ops.model.inventory import definition_digest, differences, inventory


@pytest.mark.parametrize(
    ("kind", "written", "read_back"),
    [
        (
            "constraint",
            "CHECK (((kind)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])"
            "::text[])))",
            "CHECK (((kind)::text = ANY (ARRAY[('a'::character varying)::text, "
            "('b'::character varying)::text])))",
        ),
        ("policy", "((a AND b) AND c)", "(a AND b AND c)"),
        ("view", "SELECT  a\n FROM b", "SELECT a FROM b"),
        ("default", "'x'::house.mood", "'x'::house.mood[]"),
        ("index", "(lower((a)::text))", "(lower(a))"),
        ("trigger", "WHEN (((new.a)::\"odd name\" = 'x'))", "WHEN ((new.a = 'x'))"),
        ("rule", "now()::timestamp(3) without time zone", "now()"),
        ("type", "1::double precision", "1"),
    ],
)
def test_what_is_printed_otherwise_and_means_the_same(
    kind: str, written: str, read_back: str
) -> None:
    assert definition_digest(kind, written) == definition_digest(kind, read_back)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("constraint", "a > 1", "a > 11"),
        ("constraint", "a > 1 1", "a > 11"),
        ("constraint", "a = '(x)'", "a = 'x'"),
        ("constraint", "a = 'x::text'", "a = 'x'"),
        ("constraint", "a = 'it''s (1)'", "a = 'it''s 1'"),
        ("constraint", "a = '  x'", "a = ' x'"),
        ("constraint", "ab", "a b"),
        ("view", 'SELECT "a(b)"', 'SELECT "a b"'),
        ("view", "a AND b", "a OR b"),
        ("function", "SELECT (a)", "SELECT a"),
        ("function", "a  b", "a b"),
        ("function", "a::int", "a"),
    ],
)
def test_what_means_something_else(kind: str, one: str, other: str) -> None:
    assert definition_digest(kind, one) != definition_digest(kind, other)


def test_an_inventory_is_sorted_and_named_by_kind() -> None:
    objects = [("view", "b", "x"), ("table", "b", "x"), ("table", "a", "x")]
    assert list(inventory(objects)) == ["table a", "table b", "view b"]


def test_differences_are_named_one_line_each() -> None:
    expected = {"table a": "1", "table b": "1", "view c": "1"}
    assert differences(expected, dict(expected)) == ()
    found = {"table a": "1", "table b": "2", "view d": "1"}
    assert differences(expected, found) == (
        "table b: defined otherwise",
        "view c: missing",
        "view d: not in the backup",
    )
