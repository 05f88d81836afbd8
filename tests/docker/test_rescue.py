"""Rows, parts and rehearsals on Supabase's shape, as its role postgres, which is no superuser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.docker.house import House
from tests.docker.supabase import Supabase
from tests.support import Installation

pytestmark = pytest.mark.slow

PROJECT = "(SELECT min(id::text)::uuid FROM public.archon_projects)"
BAD = """ALTER TABLE archon_tasks ADD COLUMN weight int;
UPDATE archon_tasks SET weight = 1;
ALTER TABLE storage.objects ADD COLUMN x int;
"""


@pytest.fixture(scope="module")
def home(supabase: Supabase) -> Iterator[House]:
    """An installation for the container, with one backup."""
    installation = Installation.make()
    try:
        home = House(installation, supabase.database)
        home.configure(
            user="postgres",
            password=supabase.database.password,
            exclude_schemas=["vault"],
        )
        home.run("backup").ok()
        yield home
    finally:
        installation.teardown()


def test_a_project_comes_back_while_neighbours_write(home: House, supabase: Supabase) -> None:
    before = home.content()
    with supabase.writer() as writer:
        writer.wait_for_more(10)
        supabase.psql(f"DELETE FROM public.archon_projects WHERE id = {PROJECT}")
        deleted = home.content()
        done = home.run("rescue", "latest", "--table", "archon_projects", "--yes", "--json").ok()
        writer.wait_for_more(10)
    assert done.json["proof"]["equal"] is True
    assert writer.lost() == {}
    assert home.content() == before != deleted
    home.check_clean()


def test_a_neighbours_table_comes_back_beside(home: House, supabase: Supabase) -> None:
    arguments = ("restore", "latest", "--schema", "n8n", "--into", "n8n_before", "--yes", "--json")
    done = home.run(*arguments).ok().json
    assert done["proof"]["equal"] is True
    home.check_clean()


def test_a_migration_fails_as_it_would_in_production(home: House) -> None:
    before = home.content()
    (home.installation.root / "bad.sql").write_text(BAD)
    done = home.run("rehearse", "bad.sql").ended(1)
    assert "bad.sql line 3: statement 3 (ALTER TABLE storage.objects" in done.stderr
    assert "must be owner of table objects" in done.stderr
    assert home.content() == before
    home.check_clean()
