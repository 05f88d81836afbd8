"""Scope archon on a database shaped like Supabase's, as its role postgres, among neighbours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.docker.house import House
from tests.docker.supabase import Supabase
from tests.docker.writer import TABLES
from tests.support import Installation

pytestmark = pytest.mark.slow
RESTORE = ("restore", "latest", "--yes")
UNDO = ("undo", "--yes")
REALTIME = """SELECT string_agg(schemaname || '.' || tablename, ',') FROM pg_publication_tables
              WHERE pubname = 'supabase_realtime'"""


@pytest.fixture
def home(empty_installation: Installation, fresh_supabase: Supabase) -> Iterator[House]:
    """Supabase's database, our role in it, and one backup."""
    made = House(empty_installation, fresh_supabase.database)
    made.configure(user="postgres", exclude_schemas=["vault"])
    made.run("backup").ok()
    yield made
    made.check_clean()


def test_archon_comes_back_and_neighbours_lose_nothing(
    home: House, fresh_supabase: Supabase
) -> None:
    before = home.content()
    psql = fresh_supabase.psql
    psql("TRUNCATE public.archon_tasks, public.archon_projects, public.archon_sources CASCADE")
    psql("ALTER TYPE public.task_status ADD VALUE 'later'")
    psql("CREATE TABLE public.archon_extra (id int)")
    changed = home.content()
    with fresh_supabase.writer() as writer:
        writer.wait_for_more()
        done = home.run(*RESTORE)
        writer.wait_for_more()
    done.ok()
    assert "table archon_extra is not in the backup" in done.stderr
    assert home.content() == before != changed
    assert writer.acknowledged > 40
    assert (writer.lost(), writer.failures) == ({}, [])
    assert psql(REALTIME) == "public.archon_tasks"
    labels = "SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid"
    assert psql(f"{labels} = 'public.task_status'::regtype") == "todo,doing,review,done"
    verified = home.run("verify", "latest", "--json").ok().json
    assert verified

    psql("INSERT INTO public.archon_sources (source_id) VALUES ('after')")
    after = home.content()
    home.run(*UNDO).ok()
    assert home.content() == changed
    assert psql(REALTIME) == "public.archon_tasks"
    home.run(*UNDO).ok()
    assert home.content() == after
    assert psql(REALTIME) == "public.archon_tasks"
    assert all(int(psql(f"SELECT count(*) FROM {table}")) for table in TABLES)
    home.run("undo", "--finalize", "--yes").ok()
    schemas = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^archon_(before|staging)_'"
    assert psql(schemas) == "0"
