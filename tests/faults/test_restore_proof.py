"""What a proof is worth: the copy is tampered with before it is proven, and nothing is switched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import Installation

RESTORE = ("restore", "latest", "--scope", "database", "--yes")

# What is done to the copy, and what the refusal must name.
TAMPERING = {
    "a row changed": ("UPDATE archon_tasks SET title = 'x' WHERE id = (SELECT min(id::text)::uuid"
                      " FROM archon_tasks)", "table public.archon_tasks"),
    "a row deleted": ("DELETE FROM archon_prompts WHERE id = (SELECT min(id::text)::uuid FROM"
                      " archon_prompts)", "table public.archon_prompts: 5 rows expected, 4"),
    "a row doubled": ("INSERT INTO archon_sources SELECT source_id || '2', source_url,"
                      " source_display_name FROM archon_sources LIMIT 1", "archon_sources"),
    "an element of a vector": (
        "UPDATE archon_crawled_pages SET embedding_1536 = (SELECT array_agg(CASE n WHEN 7 THEN"
        " e + 1e-6 ELSE e END ORDER BY n)::vector FROM unnest(embedding_1536::real[])"
        " WITH ORDINALITY AS u(e, n)) WHERE id = (SELECT min(id) FROM archon_crawled_pages"
        " WHERE embedding_1536 IS NOT NULL)", "table public.archon_crawled_pages"),
    "NULL made empty": ("UPDATE archon_tasks SET archived_by = '' WHERE id = (SELECT"
                        " min(id::text)::uuid FROM archon_tasks WHERE archived_by IS NULL)",
                        "archon_tasks"),
    "an index dropped": ("DO $$ BEGIN EXECUTE (SELECT 'DROP INDEX ' || indexrelid::regclass FROM"
                         " pg_index WHERE indrelid = 'archon_crawled_pages'::regclass AND"
                         " pg_get_indexdef(indexrelid) LIKE '%ivfflat%' LIMIT 1); END $$",
                         "index"),
    "a grant revoked": ("DO $$ BEGIN EXECUTE (SELECT format('REVOKE ALL ON archon_tasks FROM %I',"
                        " current_user)); END $$", "table public.archon_tasks"),
    "a trigger disabled": ("ALTER TABLE archon_projects DISABLE TRIGGER USER", "trigger"),
    "a policy changed": ("DO $$ BEGIN EXECUTE (SELECT format('ALTER POLICY %I ON %I USING (false)',"
                         " policyname, tablename) FROM pg_policies WHERE qual IS NOT NULL"
                         " LIMIT 1); END $$", "policy"),
    "row security off": ("ALTER TABLE archon_settings DISABLE ROW LEVEL SECURITY",
                         "table public.archon_settings"),
    "a sequence set back": ("SELECT setval('archon_crawled_pages_id_seq', 1)",
                            "sequence public.archon_crawled_pages_id_seq"),
    "a default gone": ("ALTER TABLE archon_tasks ALTER COLUMN status DROP DEFAULT", "default"),
    "a foreign key gone": ("DO $$ BEGIN EXECUTE (SELECT format('ALTER TABLE archon_tasks DROP"
                           " CONSTRAINT %I', conname) FROM pg_constraint WHERE conrelid ="
                           " 'archon_tasks'::regclass AND contype = 'f' LIMIT 1); END $$",
                           "constraint"),
    "a function replaced": ("CREATE OR REPLACE FUNCTION update_updated_at_column() RETURNS trigger"
                            " LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'", "function"),
    "a table added": ("CREATE TABLE archon_extra (id int)", "archon_extra"),
    "the database's settings": ("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem TO"
                                " ''9MB''', current_database()); END $$", "database setting"),
    "the database's rights": ("DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO PUBLIC',"
                              " current_database()); END $$", "database rights"),
}  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(module_installation: Installation) -> Iterator[Installation]:
    """An installation whose server runs throughout."""
    with module_installation.server():
        yield module_installation


@pytest.mark.parametrize("what", TAMPERING)
def test_a_copy_that_is_not_equal_is_never_switched_in(running: Installation, what: str) -> None:
    installation = running
    query, named = TAMPERING[what]
    before = installation.content()
    spawned = installation.spawn(*RESTORE, pause_at="restore.proof")
    spawned.wait_paused("restore.proof")
    side = next(name for name in installation.databases() if name.startswith("archon_side_"))
    installation.psql(f"SET search_path = public; {query}", side)
    spawned.go_on()
    done = spawned.finish().ended(4)
    said = done.stderr[done.stderr.index("error:") :]
    assert named in said
    assert "nothing was switched; postgres is as it was" in said
    assert "hint: inv verify archon_postgres-" in said
    assert len(said.splitlines()) <= 3
    assert installation.databases() == ("postgres",)
    assert installation.content() == before


def test_the_backup_is_not_blamed_for_the_copy(running: Installation) -> None:
    (entry,) = running.run("backups", "--json").json["backups"]
    assert entry["trust"] in ("checked", "restored")
    running.run("verify", "latest", "--restore").ok()
