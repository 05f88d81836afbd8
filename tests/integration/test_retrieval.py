"""What a database answers is recorded and asked again; whatever answers otherwise is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from statistics import median

import pytest
from pydantic import SecretStr

from archon_ops.actions.credentials import tried
from archon_ops.model.report import Silent
from archon_ops.model.retrieval import BAND, Credentials, Retrieval, in_band
from archon_ops.model.retrieval_proof import RetrievalProof, compare
from archon_ops.postgres.answers import Place, answers, called
from archon_ops.postgres.retrieval import sample as recorded
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from archon_ops.rig import sample
from tests.support import KEY, new_database

PAGES = "public.idx_archon_crawled_pages_embedding_1536"
SEARCH = "search of public.archon_crawled_pages by embedding_1536 <=>"
MATCH = "public.match_archon_crawled_pages(public.vector,integer,jsonb,text)"
BUILD = {"maintenance_work_mem": "256MB"}
# The same function, with another body.
REPLACED = """
CREATE OR REPLACE FUNCTION public.match_archon_crawled_pages(
    query_embedding public.vector, match_count integer DEFAULT 10, filter jsonb DEFAULT '{{}}',
    source_filter text DEFAULT NULL
) RETURNS TABLE (
    id bigint, url varchar, chunk_number integer, content text, metadata jsonb, source_id text,
    similarity double precision
) LANGUAGE plpgsql AS $$ BEGIN {} END $$
"""


@pytest.fixture(scope="module")
def database(postgres_18: Server) -> Iterator[Connection]:
    with new_database(postgres_18, "retrieval") as connection:
        sample.create(connection, 1, Silent(), encryption_key=KEY)
        yield connection


@pytest.fixture
def db(database: Connection) -> Iterator[Connection]:
    """The sample again after the test."""
    with database.transaction(force_rollback=True):
        yield database


@pytest.fixture(scope="module")
def before(database: Connection) -> Retrieval:
    return recorded(database, Scope(), timeout=60)


def prove(
    db: Connection, before: Retrieval | None, *unchanged: str
) -> tuple[RetrievalProof, tuple[str, ...]]:
    found = answers(db, before, timeout=60, build_settings=BUILD)
    found = replace(found, functions=called(db, before, timeout=60))
    return compare(before, found, same_major=True, unchanged=unchanged)


def element(db: Connection, row: str) -> None:
    """Change one element of one embedding."""
    db.execute(
        """UPDATE public.archon_crawled_pages SET embedding_1536 = (
               '[' || 0.9 || substr(embedding_1536::text, strpos(embedding_1536::text, ','))
           )::public.vector WHERE id = %s""",
        [row],
    )


# --- what is recorded -------------------------------------------------------------------------


def test_the_same_database_answers_the_same(db: Connection, before: Retrieval) -> None:
    proof, notes = prove(db, before)
    assert (proof.equal, proof.differences, notes) == (True, (), ())
    assert proof.questions == sum(len(s.answers) for s in before.searches) > 10
    assert set(proof.recall or {}) == {i.name for i in before.indexes}
    assert len(before.indexes) == 8
    functions = proof.functions or {}
    assert len(functions) == 8
    assert all(rows > 0 for name, rows in functions.items() if "_multi" in name)


def test_nobody_is_nearer_than_the_recorded(db: Connection, before: Retrieval) -> None:
    wanted = next(s for s in before.searches if s.name in SEARCH)
    for answer in wanted.answers:
        rows = db.execute(
            """SELECT b.id::text FROM public.archon_crawled_pages a, public.archon_crawled_pages b
               WHERE a.id = %s AND b.embedding_1536 IS NOT NULL
               ORDER BY a.embedding_1536 OPERATOR(public.<=>) b.embedding_1536, b.id LIMIT 10""",
            [answer.row],
        ).fetchall()
        assert answer.nearest == tuple(row for (row,) in rows)
        assert answer.nearest[0] == answer.row


def test_pgvector_outside_of_public_as_on_supabase(postgres_18: Server) -> None:
    with new_database(postgres_18, "elsewhere") as db:
        sample.create(db, 1, Silent(), encryption_key=KEY, extension_schema="extensions")
        db.execute(
            b"""CREATE ROLE plain; GRANT USAGE ON SCHEMA extensions TO plain;
                GRANT SELECT ON ALL TABLES IN SCHEMA public TO plain;
                ALTER ROLE plain BYPASSRLS; SET ROLE plain"""
        )
        before = recorded(db, Scope(), timeout=60)
        proof, notes = prove(db, before)
        assert proof.equal
        assert (len(proof.recall or {}), len(proof.functions or {})) == (8, 8)
        # In so small a sample many an index finds little.
        assert all(n.endswith("may not build it anew to compare") for n in notes)
        db.execute("RESET ROLE")
        assert prove(db, before)[1] == ()
        db.execute("DROP OWNED BY plain; DROP ROLE plain")


@pytest.mark.parametrize("server", ["postgres_18", "postgres_15"])
def test_a_database_without_vectors_owes_nothing(
    server: str, request: pytest.FixtureRequest
) -> None:
    with new_database(request.getfixturevalue(server), "plain") as db:
        db.execute("CREATE TABLE public.archon_tasks (id int PRIMARY KEY)")
        before = recorded(db, Scope(), timeout=60)
        assert before == Retrieval((), ())
        for known in (before, None):
            proof, notes = prove(db, known)
            assert (proof.equal, proof.questions, notes) == (True, 0, ())


def test_an_older_backup_is_said_to_have_no_record(db: Connection) -> None:
    proof, notes = prove(db, None)
    assert proof.equal
    assert notes == ("search answers: the backup is older than the record of them",)


def test_tables_that_are_not_where_they_belong_yet(db: Connection, before: Retrieval) -> None:
    db.execute(
        b"""CREATE SCHEMA "beside-1";
            ALTER TABLE public.archon_crawled_pages SET SCHEMA "beside-1";
            ALTER TABLE public.archon_code_examples SET SCHEMA "beside-1";
            CREATE TABLE public.archon_crawled_pages (id int PRIMARY KEY, e public.vector(2));
            INSERT INTO public.archon_crawled_pages VALUES (1, '[1,2]')"""
    )
    beside = Place(Scope(schemas=("public",)), "beside-1", "public")
    found = answers(db, before, timeout=60, build_settings=BUILD, place=beside)
    proof, notes = compare(before, found, same_major=True, unchanged=())
    assert (proof.differences, notes) == ((), ())
    assert set(proof.recall or {}) == {i.name for i in before.indexes}


# --- rows that cannot be asked, and odd ones that can -------------------------------------------


ODD = """
CREATE TABLE public.odd ("a%key" text, b int, e public.vector, PRIMARY KEY ("a%key", b));
INSERT INTO public.odd VALUES ('zero', 1, '[0,0]'), ('%s', 2, '[1,0]'), ('c,"', 3, '[1,0]'),
    ('d', 4, '[0,1]'), ('e', 5, NULL);
"""


def test_keys_of_two_columns_zero_vectors_and_equal_ones(db: Connection) -> None:
    db.execute(ODD.encode())
    before = recorded(db, Scope(), timeout=60)
    odd = next(s for s in before.searches if s.table == "odd")
    assert {a.row for a in odd.answers} <= {"(%s,2)", '("c,""",3)', "(d,4)"}
    assert all(len(a.nearest) == 3 for a in odd.answers)
    assert prove(db, before)[0].equal
    db.execute("DELETE FROM public.odd WHERE b = 2")
    assert "odd" in prove(db, before)[0].differences[0]


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("INSERT INTO public.odd VALUES ('f', 6, '[1,2,3]')", "different vector dimensions"),
        ("ALTER TABLE public.odd DROP CONSTRAINT odd_pkey", "no primary key"),
    ],
)
def test_what_cannot_be_asked_is_named(db: Connection, statement: str, why: str) -> None:
    db.execute(ODD.encode())
    db.execute(statement.encode())
    before = recorded(db, Scope(), timeout=60)
    proof, notes = prove(db, before)
    assert proof.equal
    assert len(notes) == 1
    assert why in notes[0]


def test_indexes_over_expressions_with_conditions_and_of_the_other_kind(db: Connection) -> None:
    db.execute(
        b"""CREATE INDEX half ON public.archon_crawled_pages
              USING hnsw ((embedding_3072::public.halfvec(3072)) public.halfvec_l2_ops)
              WHERE chunk_number < 5;
            CREATE INDEX inner_product ON public.archon_code_examples
              USING ivfflat ((embedding_3072::public.halfvec(3072)) public.halfvec_ip_ops)
              WITH (lists = 3)"""
    )
    before = recorded(db, Scope(), timeout=60)
    assert {"<=>", "<->", "<#>"} == {s.operator for s in before.searches}
    proof, notes = prove(db, before)
    assert (proof.differences, notes) == ((), ())
    assert {"public.half", "public.inner_product"} <= set(proof.recall or {})


# --- every difference is noticed ----------------------------------------------------------------


def test_one_element_of_a_vector_changed(db: Connection, before: Retrieval) -> None:
    asked = next(s for s in before.searches if s.name in SEARCH).answers[0]
    element(db, asked.nearest[3])
    (line,) = prove(db, before)[0].differences
    assert line.startswith(SEARCH)
    assert "answers differ" in line


def test_an_embedding_lost(db: Connection, before: Retrieval) -> None:
    db.execute("UPDATE public.archon_crawled_pages SET embedding_1536 = NULL")
    assert f"{SEARCH}: 3 of 3 answers differ" in prove(db, before)[0].differences[0]


def test_a_column_lost(db: Connection, before: Retrieval) -> None:
    db.execute("ALTER TABLE public.archon_crawled_pages DROP COLUMN embedding_1536 CASCADE")
    lines = prove(db, before)[0].differences
    assert f"{SEARCH}: there is no such column any more" in lines
    assert f"vector index {PAGES}: missing" in lines


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        (f"DROP INDEX {PAGES}", "missing"),
        (
            f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{PAGES}'::regclass",
            "not valid",
        ),
        (
            f"DROP INDEX {PAGES}; CREATE INDEX {PAGES.removeprefix('public.')} ON "
            "public.archon_crawled_pages USING ivfflat "
            "(embedding_1536 public.vector_cosine_ops) WITH (lists = 7)",
            "is CREATE INDEX",
        ),
    ],
)
def test_an_index_that_is_not_what_it_was(
    db: Connection, before: Retrieval, statement: str, line: str
) -> None:
    db.execute(statement.encode())
    (found,) = prove(db, before)[0].differences
    assert found.startswith(f"vector index {PAGES}: {line}")


def test_an_index_in_which_rows_are_missing(db: Connection, before: Retrieval) -> None:
    """Rows that came while the index did not look."""
    db.execute("CREATE TABLE public.aside AS SELECT * FROM public.archon_crawled_pages")
    db.execute("DELETE FROM public.archon_crawled_pages")
    db.execute(f"UPDATE pg_index SET indisready = false WHERE indexrelid = '{PAGES}'::regclass")
    db.execute(
        """DO $$ DECLARE names text; BEGIN
             SELECT string_agg(quote_ident(attname), ',') INTO names FROM pg_attribute
             WHERE attrelid = 'public.aside'::regclass AND attnum > 0
               AND attname <> 'content_search_vector';
             EXECUTE format('INSERT INTO public.archon_crawled_pages (%s) SELECT %s
                             FROM public.aside', names, names);
           END $$"""
    )
    db.execute("DROP TABLE public.aside")
    db.execute(f"UPDATE pg_index SET indisready = true WHERE indexrelid = '{PAGES}'::regclass")
    (line,) = prove(db, before)[0].differences
    assert line.startswith(f"vector index {PAGES}: ")
    assert line.endswith("nearest neighbours are not in it")


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("RETURN;", "answers nothing by 1536 dimensions"),
        ("RAISE EXCEPTION 'broken';", "fails: broken"),
        (
            "RETURN QUERY SELECT -1::bigint, ''::varchar, 0, '', '{}'::jsonb, '', 0::float8;",
            "answers 1 rows that archon_crawled_pages lacks",
        ),
        ("DELETE FROM public.archon_crawled_pages; RETURN;", "fails: cannot execute DELETE"),
    ],
)
def test_a_function_replaced(db: Connection, before: Retrieval, body: str, line: str) -> None:
    db.execute(REPLACED.format(body.replace("'{}'", "'{{}}'").format()).encode())
    proof, notes = prove(db, before)
    assert notes == ()
    (found,) = proof.differences
    assert found.startswith(f"function {MATCH} {line}")
    # Where that is how it was backed up, the restore is not to blame.
    proof, notes = prove(db, before, MATCH)
    assert proof.equal
    assert notes[0].startswith(f"function {MATCH}, as backed up, {line}")


def test_a_function_that_wants_to_be_told_more(db: Connection, before: Retrieval) -> None:
    db.execute(
        b"""CREATE FUNCTION public.match_archon_tasks(mood text) RETURNS TABLE (id int)
            LANGUAGE sql AS 'SELECT 1'"""
    )
    proof, notes = prove(db, before)
    assert proof.equal
    assert notes == (
        "function public.match_archon_tasks(text): nothing is known to give it as mood",
    )


def test_a_function_that_relies_on_the_search_path(db: Connection, before: Retrieval) -> None:
    body = (
        "RETURN QUERY SELECT p.id, p.url, p.chunk_number, p.content, p.metadata, p.source_id, "
        "1 - (p.embedding_1536 <=> $1) FROM archon_crawled_pages p "
        "WHERE p.embedding_1536 IS NOT NULL LIMIT 2;"
    )
    db.execute(REPLACED.format(body).encode())
    proof, _ = prove(db, before)
    assert (proof.equal, (proof.functions or {})[MATCH]) == (True, 2)


# --- credentials --------------------------------------------------------------------------------


def test_the_key_at_hand_is_tried(db: Connection) -> None:
    assert tried(db, ("ENCRYPTION_KEY", SecretStr(KEY))) == Credentials(1, "ENCRYPTION_KEY", 1)
    assert tried(db, ("ENCRYPTION_KEY", SecretStr("x"))) == Credentials(1, "ENCRYPTION_KEY", 0)
    assert tried(db, None) == Credentials(1, None, 0)


# --- how much an index finds --------------------------------------------------------------------


@pytest.mark.slow
def test_a_build_that_finds_little_is_held_against_others(postgres_18: Server) -> None:
    """Among vectors that lie anywhere, one list holds a third of the neighbours, give or take."""
    with new_database(postgres_18, "anywhere") as db:
        anywhere = ", ".join(["random() - 0.5 + 0 * i"] * 512)
        db.execute(
            f"""CREATE EXTENSION vector SCHEMA public;
                CREATE TABLE public.t (id int PRIMARY KEY, e public.vector(512));
                INSERT INTO public.t SELECT i, ARRAY[{anywhere}]::real[]::public.vector
                FROM generate_series(1, 4000) i;
                CREATE INDEX i ON public.t USING ivfflat (e public.vector_cosine_ops)""".encode()
        )
        before = recorded(db, Scope(), timeout=60)
        (look,) = answers(db, before, timeout=60, build_settings=BUILD).indexes
        assert (look.used, look.missed) == (True, 0)
        assert len(look.recalls) >= 5
        assert median(look.recalls) < 1 - BAND
        assert in_band(look.recalls[0], look.recalls)
        assert prove(db, before)[0].equal
        with db.transaction(force_rollback=True):
            db.execute("CREATE ROLE other; GRANT SELECT ON public.t TO other; SET LOCAL ROLE other")
            proof, (note,) = prove(db, before)
            assert proof.equal
            assert note.endswith("this role may not build it anew to compare")
