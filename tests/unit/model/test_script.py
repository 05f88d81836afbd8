"""A file of SQL is cut where psql would cut it, and every statement knows its line."""

from __future__ import annotations

import pytest

from archon_ops.errors import UsageError
from archon_ops.model.script import statements


def cut(text: str) -> list[tuple[int, str]]:
    return [(one.line, one.text) for one in statements("m.sql", text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("-- nothing\n;;\n/* at all */", []),
        ("SELECT 1", [(1, "SELECT 1")]),
        ("SELECT 1;\n\n  -- two\nSELECT 2 ;", [(1, "SELECT 1"), (4, "SELECT 2")]),
        ("SELECT ';' , \";\" ; SELECT 2", [(1, "SELECT ';' , \";\""), (1, "SELECT 2")]),
        ("SELECT 'it''s;' ;", [(1, "SELECT 'it''s;'")]),
        (r"SELECT E'\';' ; SELECT 2", [(1, r"SELECT E'\';'"), (1, "SELECT 2")]),
        (r"SELECT 'a\' ; SELECT 2", [(1, r"SELECT 'a\'"), (1, "SELECT 2")]),
        ("SELECT 1 -- ; '\n; SELECT 2", [(1, "SELECT 1 -- ; '"), (2, "SELECT 2")]),
        ("SELECT 1 /* ; /* ; */ ; */ ; SELECT 2", [(1, "SELECT 1 /* ; /* ; */ ; */"),
                                                   (1, "SELECT 2")]),
        ("DO $$ BEGIN; END $$;\nDO $x$ $$;$$ $x$", [(1, "DO $$ BEGIN; END $$"),
                                                    (2, "DO $x$ $$;$$ $x$")]),
        ("SELECT $1; SELECT a$b$ FROM t", [(1, "SELECT $1"), (1, "SELECT a$b$ FROM t")]),
        ("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3",
         [(1, "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)"), (1, "SELECT 3")]),
        ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END;"
         " END; SELECT 2",
         [(1, "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1"
              " END; END"), (1, "SELECT 2")]),
        ("BEGIN; SELECT 1; END; SELECT 2",
         [(1, "BEGIN"), (1, "SELECT 1"), (1, "END"), (1, "SELECT 2")]),
    ],
)  # fmt: skip
def test_cut(text: str, found: list[tuple[int, str]]) -> None:
    assert cut(text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT 1;\n\\i other.sql", r"m.sql line 2: \\i is a command of psql"),
        ("SELECT 1;\nSELECT 'x", "m.sql line 2: ' never ends"),
        ("COPY t (a)\n  FROM STDIN;\n1\n", "m.sql line 1: COPY from or to psql's own input"),
        ("SELECT 1;\nCOPY t FROM PROGRAM 'id'", "m.sql line 2: COPY of a server's file or program"),
        ("COPY (SELECT 1) TO /* x */ '/tmp/x'", "m.sql line 1: COPY of a server's file or program"),
        ("DO $$ BEGIN COPY t FROM PROGRAM 'id'; END $$", "m.sql line 1: COPY of a server's file"),
        ("drop database postgres", "m.sql line 1: it is about whole databases"),
        ("/* /* */", r"m.sql line 1: /\* never ends"),
        ("DO $a$ $$", r"m.sql line 1: \$a\$ never ends"),
    ],
)
def test_what_is_no_sql(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        statements("m.sql", text)


def test_the_head_is_one_short_line() -> None:
    (one,) = statements("m.sql", "ALTER -- why\n  TABLE" + " x" * 100)
    assert one.head.startswith("ALTER TABLE x x")
    assert len(one.head) == 60
