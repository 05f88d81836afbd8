"""A part of a backup is made beside what lives, and never over it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from archon_ops.model.proof import Found
from tests.support import Installation

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(module_installation: Installation) -> Iterator[Installation]:
    """An installation with a neighbour of every sort, whose server runs throughout."""
    with module_installation.server():
        module_installation.psql("""
            CREATE SCHEMA "n8n flow"; CREATE TYPE "n8n flow".mood AS ENUM ('good', 'bad');
            CREATE TABLE "n8n flow"."Runs" (id serial PRIMARY KEY, mood "n8n flow".mood,
                task uuid REFERENCES public.archon_tasks);
            CREATE INDEX "Moods" ON "n8n flow"."Runs" (mood);
            CREATE VIEW "n8n flow".good AS SELECT id FROM "n8n flow"."Runs" WHERE mood = 'good';
            INSERT INTO "n8n flow"."Runs" (mood) VALUES ('good'), ('bad');""")
        module_installation.run("backup").ok()
        yield module_installation


def without(found: Found, schema: str) -> tuple[object, ...]:
    """All that is in other schemas."""
    tables = tuple(t for t in found.tables if t.schema != schema)
    inventory = {k: v for k, v in found.inventory.items() if f"{schema}" not in k}
    return tables, inventory


def test_a_schema_comes_back_beside(running: Installation) -> None:
    before = running.content()
    arguments = ("restore", "latest", "--schema", "n8n flow", "--into", "n8n_before")
    plan = running.run(*arguments, "--dry-run", "--json").ok().json["plan"]
    assert plan["tables"] == [{"table": "n8n flow.Runs", "rows": 2}]
    assert without(running.content(), "n8n_before") == without(before, "n8n_before")
    done = running.run(*arguments, "--yes", "--json").ok().json
    assert done["proof"]["equal"] is True
    assert running.psql('SELECT id, mood FROM n8n_before."Runs" ORDER BY 1') == "1|good\n2|bad"
    assert running.psql("SELECT id FROM n8n_before.good") == "1"
    assert running.psql("SELECT indexname FROM pg_indexes WHERE schemaname = 'n8n_before'"
                        " ORDER BY 1") == "Moods\nRuns_pkey"  # fmt: skip
    running.psql("INSERT INTO n8n_before.\"Runs\" (mood) VALUES ('good')")
    assert without(running.content(), "n8n_before") == without(before, "n8n_before")
    assert "exists already" in running.run(*arguments, "--yes").ended(3).stderr
    running.psql("DROP SCHEMA n8n_before CASCADE")


def test_a_table_comes_back_beside_with_its_types_and_indexes(running: Installation) -> None:
    before = running.content()
    arguments = ("restore", "latest", "--table", "archon_tasks", "--into", "Old tasks")
    said = running.run(*arguments, "--yes").ok().stderr
    assert "proven equal" in said
    rows = 'SELECT count(*) FROM "Old tasks".archon_tasks o JOIN public.archon_tasks t USING (id)'
    assert running.psql(rows) == running.psql("SELECT count(*) FROM public.archon_tasks")
    kind = "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attname = 'status'"
    assert running.psql(f"{kind} AND attrelid = '\"Old tasks\".archon_tasks'::regclass") == (
        '"Old tasks".task_status'
    )
    assert without(running.content(), "Old tasks") == without(before, "Old tasks")
    running.psql('DROP SCHEMA "Old tasks" CASCADE')
    assert running.content() == before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--table", "archon_tasks"), 2, "need --into"),
        (("--into", "x"), 2, "needs one of --schema and --table"),
        (("--into", "x", "--table", "a", "--schema", "b"), 2, "needs one of"),
        (("--into", "x", "--table", "a", "--database", "b"), 2, "goes with neither"),
        (("--into", "public", "--table", "archon_tasks"), 3, "schema public exists already"),
        (("--into", "pg_mine", "--table", "archon_tasks"), 2, "cannot be the name"),
        (("--into", "archon_before_x", "--table", "archon_tasks"), 2, "cannot be the name"),
        (("--into", "x", "--table", "nothing"), 2, "holds no table public.nothing"),
    ],
)
def test_what_makes_no_sense(
    running: Installation, arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert said in running.run("restore", "latest", *arguments, "--yes").ended(code).stderr
