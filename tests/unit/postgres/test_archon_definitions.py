from __future__ import annotations

import pytest

from archon_ops.postgres.archon.definitions import Definition, renamed, split
from archon_ops.postgres.archon.entries import parse, select
from archon_ops.postgres.archon.load import _Lines

NAMES = frozenset({"archon_tasks", "task_status", 'Odd "one"', "archon_tasks_id_seq"})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ALTER TABLE ONLY public.archon_tasks", 'ALTER TABLE ONLY "s".archon_tasks'),
        ("DEFAULT 'todo'::public.task_status", "DEFAULT 'todo'::\"s\".task_status"),
        ('public."Odd ""one""" (', '"s"."Odd ""one""" ('),
        (
            "nextval('public.archon_tasks_id_seq'::regclass)",
            "nextval('\"s\".archon_tasks_id_seq'::regclass)",
        ),
        # What is not code, or not Archon's, stays.
        ("IS 'see public.archon_tasks'", "IS 'see public.archon_tasks'"),
        ("IS 'it''s public.archon_tasks'", "IS 'it''s public.archon_tasks'"),
        ("AS $$ SELECT public.archon_tasks $$", "AS $$ SELECT public.archon_tasks $$"),
        ("AS $_$ '$$ public.archon_tasks $_$", "AS $_$ '$$ public.archon_tasks $_$"),
        ("E'\\' public.archon_tasks'", "E'\\' public.archon_tasks'"),
        ("public.chat_flow, public.vector(3)", "public.chat_flow, public.vector(3)"),
        ("my_public.archon_tasks", "my_public.archon_tasks"),
        ('"x public.archon_tasks"', '"x public.archon_tasks"'),
    ],
)
def test_only_archons_names_in_code_are_renamed(text: str, wanted: str) -> None:
    assert renamed(text, NAMES, "s") == wanted


SCRIPT = """--
-- PostgreSQL database dump
--

SET x = 1;

--
-- TOC entry 7 (class 1255 OID 16)
-- Name: f(); Type: FUNCTION; Schema: public; Owner: me
--

CREATE FUNCTION public.f() RETURNS int LANGUAGE plpgsql AS $$
--
-- TOC entry 9 (class 1255 OID 16)
-- Name: not one; Type: FUNCTION; Schema: public; Owner: me
--
$$;

--
-- TOC entry 8 (class 1259 OID 17)
-- Dependencies: 7
-- Name: archon_tasks; Type: TABLE; Schema: public; Owner: me
-- Data Pos: 0
--

CREATE TABLE public.archon_tasks ();

-- Completed on 2026-11-24

--
-- PostgreSQL database dump complete
--

\\unrestrict x
"""


def test_a_script_is_cut_at_its_entries_and_not_inside_of_a_body() -> None:
    parts = split(SCRIPT)
    assert set(parts) == {7, 8}
    assert parts[7].sql.startswith("CREATE FUNCTION")
    assert parts[7].sql.endswith("$$;")
    assert parts[8].sql.startswith("CREATE TABLE public.archon_tasks ();")
    assert "unrestrict" not in parts[8].sql


LISTING = """;
1; 2615 1 SCHEMA - auth admin
2; 1255 2 FUNCTION auth role() admin
;\tdepends on: 1
3; 1247 3 TYPE public task_status me
4; 1247 4 TYPE public theirs me
5; 1259 5 TABLE public archon_tasks me
;\tdepends on: 3
6; 1259 6 TABLE public chat me
;\tdepends on: 4
7; 1255 7 FUNCTION public stamp() me
8; 1255 8 FUNCTION public helper(integer, text) me
9; 1255 9 FUNCTION public match_archon_pages(integer) me
10; 1255 10 FUNCTION public neighbours() me
11; 2606 11 FK CONSTRAINT public chat chat_task_fkey me
;\tdepends on: 5 6
12; 1259 12 INDEX public by_title me
;\tdepends on: 5
13; 2620 13 TRIGGER public archon_tasks stamped me
;\tdepends on: 5 7
14; 3256 14 POLICY public archon_tasks reading me
;\tdepends on: 2 5
15; 0 0 ACL public TABLE archon_tasks me
;\tdepends on: 5
16; 0 0 COMMENT public TABLE chat me
;\tdepends on: 6
17; 0 5 TABLE DATA public archon_tasks me
;\tdepends on: 5
18; 6106 18 PUBLICATION TABLE public realtime archon_tasks me
;\tdepends on: 5
"""


def test_what_belongs_to_archon_is_found_by_what_depends_on_what() -> None:
    bodies = {9: "BEGIN RETURN helper(1, 'x'); END", 10: "BEGIN RETURN 1; END"}
    known = {n: Definition(bodies.get(n, ""), "admin" if n < 3 else "me") for n in range(1, 17)}
    chosen = select(parse(LISTING, known))
    assert [entry.id for entry in chosen.archon] == [3, 5, 7, 8, 9, 12, 13, 14, 15]
    assert [entry.id for entry in chosen.support] == [1, 2]
    assert [entry.id for entry in chosen.data] == [17]
    assert chosen.publications == {"realtime": ("archon_tasks",)}
    assert "routine helper(integer,text)" in chosen.labels
    assert chosen.owners(["me", "admin"]) == {"me"}


def test_an_owner_may_have_blanks_in_its_name() -> None:
    script = SCRIPT.replace("Schema: public; Owner: me", "Schema: public; Owner: my; Owner: own")
    known = split(script)
    text = "8; 1259 8 TABLE public archon_tasks my; Owner: own\n"
    (entry,) = parse(text, known)
    assert (entry.owner, entry.name, entry.label) == (
        "my; Owner: own",
        "archon_tasks",
        "table archon_tasks",
    )
    spaces = "TABLE public archon_tasks me; Tablespace: fast"
    assert split(SCRIPT.replace("Owner: me", "Owner: me; Tablespace: fast"))[8].owner == "me", (
        spaces
    )


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_rows_end_where_they_end_wherever_blocks_are_cut(size: int) -> None:
    text = b"COPY a\n1\\\\.\n\\\\.x\n\\.\nCOPY b\n\\.\nend\n"
    lines = _Lines(iter([text[i : i + size] for i in range(0, len(text), size)]))
    assert lines.line() == b"COPY a"
    assert b"".join(lines.rows()) == b"1\\\\.\n\\\\.x\n"
    assert lines.line() == b"COPY b"
    assert b"".join(lines.rows()) == b""
    assert lines.line() == b"end"
    assert lines.line() is None
