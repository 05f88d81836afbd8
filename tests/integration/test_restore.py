"""A restore from the operator's side: what it plans, brings back, and leaves as it is."""

from __future__ import annotations

import shutil
from typing import Any

import psycopg
import pytest

from archon_ops.postgres.server import Server
from tests.support import Installation

RESTORE = ("restore", "latest", "--scope", "database", "--yes")

# Everything that belongs to a database itself, as odd as it may be.
OWN = """
CREATE ROLE "an owner" NOLOGIN; CREATE ROLE reader NOLOGIN; CREATE ROLE "a, CONNECT" NOLOGIN;
ALTER DATABASE postgres OWNER TO "an owner";
REVOKE ALL ON DATABASE postgres FROM PUBLIC;
REVOKE TEMPORARY ON DATABASE postgres FROM "an owner";
GRANT CONNECT ON DATABASE postgres TO reader WITH GRANT OPTION;
GRANT CREATE, TEMPORARY ON DATABASE postgres TO "a, CONNECT";
ALTER DATABASE postgres CONNECTION LIMIT 17;
COMMENT ON DATABASE postgres IS 'it''s "ours"';
ALTER DATABASE postgres SET search_path = "$user", public, "a, b", "with""quote";
ALTER DATABASE postgres SET work_mem = '7MB';
ALTER DATABASE postgres SET DateStyle = 'SQL, DMY';
ALTER DATABASE postgres SET "app.settings.text" = 'quotes '' and "these", commas, \\ and =signs=';
ALTER DATABASE postgres SET "app.settings.empty" = '';
ALTER ROLE reader IN DATABASE postgres SET search_path = '';
ALTER ROLE reader IN DATABASE postgres SET statement_timeout = '5s';
ALTER ROLE "a, CONNECT" IN DATABASE postgres SET search_path = "a, b";
"""
SHOWN = """
SELECT pg_get_userbyid(datdba), datconnlimit, shobj_description(oid, 'pg_database'),
       (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(datacl) AS x),
       (SELECT array_agg((setrole, x)::text ORDER BY setrole, x)
        FROM pg_db_role_setting, unnest(setconfig) AS x WHERE setdatabase = d.oid)
FROM pg_database d WHERE datname = 'postgres'
"""


def plan(installation: Installation, *more: str) -> Any:
    """The plan of a restore, as JSON."""
    whole = ("restore", "latest", "--scope", "database", "--dry-run", "--json")
    return installation.run(*whole, *more).ok().json["plan"]


def lost(installation: Installation) -> dict[str, int]:
    """Rows that a restore of the latest backup would take out of service, by table."""
    return {t["table"]: t["lost"] for t in plan(installation)["tables"] if t["lost"]}


def roles(server: Server) -> None:
    """Make the roles that the sample's dump names."""
    with server.connect("template1") as connection:
        for role in ("anon", "authenticated", "service_role"):
            query = f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN OTHERS THEN END $$"
            connection.execute(query.encode())


# --- what comes back --------------------------------------------------------------------------


def test_the_database_is_what_it_was(running: Installation) -> None:
    before = running.content()
    running.psql("DELETE FROM public.archon_tasks; DROP TABLE public.chat_flow")
    done = running.run(*RESTORE, "--json").ok().json
    assert done["proof"]["equal"] is True
    assert {t["equal"] for t in done["proof"]["tables"]} == {True}
    assert done["proof"]["attributes"] == {"equal": True, "differences": []}
    assert running.content() == before


@pytest.mark.slow
def test_every_index_is_there_and_used_with_little_memory(running: Installation) -> None:
    indexes = """SELECT indexrelid::regclass, pg_get_indexdef(indexrelid), indisvalid, indisready
                 FROM pg_index WHERE indexrelid >= 16384
                   AND indexrelid::regclass::text NOT LIKE 'pg_toast%' ORDER BY 2"""
    before = running.psql(indexes)
    assert before.count("ivfflat") == 8
    running.psql("ALTER SYSTEM SET maintenance_work_mem = '1MB'", "template1")
    running.psql("SELECT pg_reload_conf()")
    running.run(*RESTORE).ok()
    assert running.psql(indexes) == before
    assert "|False" not in before


@pytest.mark.slow
def test_what_belongs_to_the_database_itself_is_carried_over(running: Installation) -> None:
    running.psql(OWN)
    shown = running.psql(SHOWN)
    running.run("backup").ok()
    running.run(*RESTORE).ok()
    assert running.psql(SHOWN) == shown
    running.run("undo", "--yes").ok()
    assert running.psql(SHOWN) == shown
    running.run("undo", "--yes").ok()
    assert running.psql(SHOWN) == shown

    # Also when nobody is there to take it over from, but the manifest.
    running.psql("DROP DATABASE postgres WITH (FORCE)", "template1")
    running.run("undo", "--finalize", "--yes").ok()
    done = running.run(*RESTORE, "--json").ok().json
    assert done["proof"]["attributes"]["equal"] is True
    assert running.psql(SHOWN) == shown


@pytest.mark.slow
def test_settings_changed_after_the_backup_stay(running: Installation) -> None:
    """They belong to the database in service, not to its content."""
    running.psql("ALTER DATABASE postgres SET work_mem = '9MB'")
    running.run(*RESTORE).ok()
    assert "work_mem=9MB" in running.psql(SHOWN)


@pytest.mark.slow
def test_a_locale_other_than_the_clusters_is_kept(running: Installation) -> None:
    running.psql(
        "CREATE DATABASE other TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C'"
        " LOCALE 'C'",
        "template1",
    )
    running.psql("DROP DATABASE postgres WITH (FORCE)", "template1")
    running.psql("ALTER DATABASE other RENAME TO postgres", "template1")
    done = running.run(*RESTORE, "--json").ended(5).json
    assert done["proof"]["equal"] is True
    note = "generated columns: the locale was C.UTF-8, is C"
    assert done["proof"]["not_proven"] == [note]
    query = """SELECT datlocprovider::text, datlocale, datcollate FROM pg_database
               WHERE datname = 'postgres'"""
    assert running.psql(query) == "b|C|C"


@pytest.mark.slow
def test_icu_sorts_after_the_restore_as_before(running: Installation, postgres_15: Server) -> None:
    with postgres_15.connect("template1") as connection:
        connection.execute("DROP DATABASE IF EXISTS umlauts WITH (FORCE)")
        connection.execute(
            "CREATE DATABASE umlauts TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de'"
        )
    with postgres_15.connect("umlauts") as connection:
        connection.execute("CREATE TABLE public.archon_words AS VALUES ('a'), ('z'), ('ä'), ('B')")
    where = " ".join(f"{k}={v}" for k, v in {**postgres_15.address, "dbname": "umlauts"}.items())
    (running.root / "archon.toml").write_text(
        f"[sources.umlauts]\nkind = 'direct'\ndsn = '{where}'\n"
    )
    running.run("backup", "--source", "umlauts").ok()
    running.run(*RESTORE, "--source", "umlauts").ok()
    with postgres_15.connect("umlauts") as connection:
        rows = connection.execute("SELECT * FROM public.archon_words ORDER BY 1").fetchall()
    assert rows == [("a",), ("ä",), ("B",), ("z",)]


# --- beside -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_beside_the_proof_is_given_and_the_result_left_in_place(running: Installation) -> None:
    before = running.content()
    running.psql("DELETE FROM public.archon_tasks")
    changed = running.content()
    done = running.run(*RESTORE, "--database", "look at 'me'", "--json").ok().json
    assert done["proof"]["equal"] is True
    assert done["kept"] is None
    assert done["plan"]["in_place"] is False
    beside = running.content("look at 'me'")
    assert (beside.tables, beside.inventory) == (before.tables, before.inventory)
    assert running.content() == changed

    again = running.run(*RESTORE, "--database", "look at 'me'").ended(3)
    assert "never overwrites one" in again.stderr
    assert running.content("look at 'me'") == beside
    shown = running.run("restore", "latest", "--database", "new", "--dry-run").ok().stdout
    assert "the source's own database stays as it is" in shown


@pytest.mark.slow
def test_the_sources_own_name_is_in_place(running: Installation) -> None:
    done = running.run(*RESTORE, "--database", "postgres", "--json").ok().json
    assert done["plan"]["in_place"] is True
    assert done["kept"].startswith("archon_before_")


# --- nothing before the consent ---------------------------------------------------------------


@pytest.mark.slow
def test_a_dry_run_changes_nothing_at_all(running: Installation) -> None:
    def everything() -> dict[str, tuple[int, bytes]]:
        return {
            str(path): (path.stat().st_mtime_ns, path.read_bytes())
            for path in sorted(running.backups.rglob("*"))
            if path.is_file()
        }

    running.psql("DELETE FROM public.archon_tasks")
    files, content = everything(), running.content()
    query = "SELECT oid, datname, shobj_description(oid, 'pg_database') FROM pg_database"
    oids = running.psql(query)
    for more in ((), ("--json",), ("--database", "beside")):
        running.run("restore", "latest", "--dry-run", *more).ok()
    assert everything() == files
    assert running.content() == content
    assert running.psql(query) == oids
    assert list(running.temporary.glob("archon_ops-*")) == []


# --- what would be lost -----------------------------------------------------------------------


@pytest.mark.slow
def test_losses_are_counted_exactly_in_the_database_of_the_backup(running: Installation) -> None:
    assert plan(running)["rows_lost_basis"] == "counted by transaction ids"
    assert lost(running) == {}
    running.psql(
        "INSERT INTO public.archon_sources (source_id, title) VALUES ('a', 'a'), ('b', 'b');"
        "UPDATE public.archon_prompts SET prompt = prompt || '!' WHERE prompt_name ="
        " (SELECT min(prompt_name) FROM public.archon_prompts);"
        "DELETE FROM public.archon_tasks;"
        "CREATE TABLE public.unknown_to_it AS SELECT generate_series(1, 7) AS i"
    )
    expected = {
        "public.archon_sources": 2,
        "public.archon_prompts": 1,
        "public.unknown_to_it": 7,
    }
    assert lost(running) == expected
    running.psql("VACUUM (FREEZE) public.archon_prompts")
    running.psql("VACUUM (FREEZE) public.archon_crawled_pages")
    assert lost(running) == expected  # neither forgotten nor invented

    shown = running.run("restore", "latest", "--scope", "database", "--dry-run").ok().stdout
    assert shown.endswith("\n")
    assert "Loss     10 live rows are newer than the backup and leave service" in shown
    assert "public.archon_tasks: 0 rows now, 64 rows in the backup\n" in shown
    assert "public.unknown_to_it: 7 rows now, no table in the backup, 7 of those now" in shown


@pytest.mark.slow
def test_rows_written_in_a_subtransaction_across_the_backup_are_counted(
    running: Installation,
) -> None:
    with running.connect() as session, session.transaction():
        with session.transaction():
            session.execute("INSERT INTO public.archon_sources (source_id) VALUES ('late')")
        running.psql("SELECT pg_current_xact_id()")  # a later transaction has ended
        running.run("backup").ok()
    assert lost(running) == {"public.archon_sources": 1}


@pytest.mark.slow
def test_losses_are_counted_exactly_after_a_restore_of_the_same_backup(
    running: Installation,
) -> None:
    running.run(*RESTORE).ok()
    assert plan(running)["rows_lost_basis"] == "counted by transaction ids"
    assert lost(running) == {}
    running.psql("UPDATE public.archon_settings SET value = 'x' WHERE key = (SELECT min(key)"
                 " FROM public.archon_settings)")  # fmt: skip
    assert lost(running) == {"public.archon_settings": 1}


@pytest.mark.slow
def test_losses_are_counted_by_time_elsewhere(running: Installation) -> None:
    running.psql("CREATE DATABASE twin TEMPLATE postgres", "template1")
    running.psql("DROP DATABASE postgres WITH (FORCE)", "template1")
    running.psql("ALTER DATABASE twin RENAME TO postgres", "template1")
    assert "time columns" in plan(running)["rows_lost_basis"]
    assert lost(running) == {}
    running.psql(
        "INSERT INTO public.archon_sources (source_id, created_at) VALUES ('a', '2001-01-01');"
        "UPDATE public.archon_prompts SET prompt = 'x'"
    )
    assert lost(running) == {"public.archon_sources": 1, "public.archon_prompts": 5}


@pytest.mark.slow
def test_a_table_that_cannot_be_read_is_named(running: Installation) -> None:
    path = running.psql("SELECT pg_relation_filepath('public.archon_prompts')")
    running.psql("CHECKPOINT")
    file = running.site().cluster.data_folder / path
    with file.open("r+b") as heap:
        heap.seek(100)
        heap.write(bytes(range(256)) * 8)
    running.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE false")
    evict = "CREATE EXTENSION pg_buffercache SCHEMA public"
    running.psql(f"{evict}; SELECT public.pg_buffercache_evict_all()")
    running.psql("DROP EXTENSION pg_buffercache")
    (table,) = [t for t in plan(running)["tables"] if t["table"] == "public.archon_prompts"]
    assert "invalid page" in table["problem"]
    assert table["rows_live"] is None
    files = running.files()
    for scope in ("archon", "database"):
        refused = running.run("restore", "latest", "--scope", scope, "--yes").ended(3)
        assert "public.archon_prompts: invalid page" in refused.stderr
        assert "--accept-unreadable" in refused.stderr
    assert running.files() == files
    done = running.run("restore", "latest", "--accept-unreadable", "--yes").ok()
    assert "public.archon_prompts: cannot be read: invalid page" in done.stderr
    kept = running.psql("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'archon_before_%'")
    assert kept == "1"
    running.run("undo", "--yes").ok()
    done = running.run(*RESTORE, "--accept-unreadable").ok()
    assert "no safety backup was taken" in done.stderr


# --- elsewhere --------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_embedded_source_that_does_not_exist_is_made(installation: Installation) -> None:
    before = installation.content()
    (installation.root / "archon.toml").write_text("[sources.home]\nkind = 'embedded'\n")
    dump = installation.latest_dump()
    arguments = ("restore", str(dump), "--source", "home")
    assert "not been made yet" in installation.run(*arguments, "--dry-run").ended(3).stderr
    missing = installation.run(*arguments, "--yes").ended(3)
    assert "CREATE ROLE" in missing.stderr
    home = installation.site(source="home")
    with home.server() as server:
        roles(server)
    done = installation.run(*arguments, "--yes", "--json").ok().json
    assert done["proof"]["equal"] is True
    assert "a new home" in " ".join(done["plan"]["notes"])
    query = ("psql", "--source", "home", "--command", "SELECT count(*) FROM archon_tasks")
    expected = next(t.rows for t in before.tables if t.table == "archon_tasks")
    assert installation.run(*query).ok().stdout.strip() == str(expected)
    home.cluster.remove()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["p" * 63, "ä\"'\\ $(id); -- % {x}", "--help", "a=b c"])
def test_odd_names_of_databases(running: Installation, name: str) -> None:
    quoted = name.replace('"', '""')
    running.psql(f'ALTER DATABASE postgres RENAME TO "{quoted}"', "template1")
    with running.server() as server:
        where = {**server.address, "dbname": name}
        written = psycopg.conninfo.make_conninfo(**where).replace("\\", "\\\\").replace('"', '\\"')
        (running.root / "archon.toml").write_text(
            f'[sources.odd]\nkind = "direct"\ndsn = "{written}"\n'
        )
        running.run("backup", "--source", "odd").ok()
        running.psql("DELETE FROM public.archon_tasks", name)
        before = running.content(name)
        assert running.run(*RESTORE, "--source", "odd", "--json").ok().json["proof"]["equal"]
        assert running.psql("SELECT count(*) FROM public.archon_tasks", name) == "64"
        running.run("undo", "--yes", "--source", "odd").ok()
        assert running.content(name) == before


@pytest.mark.slow
def test_a_copy_of_a_backup_elsewhere_is_restored_and_left_as_it_is(running: Installation) -> None:
    folder = running.root / "usb stick"
    folder.mkdir()
    dump = running.latest_dump()
    for file in (dump, dump.with_suffix(".json")):
        shutil.copy(file, folder)
    listed = sorted(path.name for path in folder.iterdir())
    assert running.run("restore", str(folder / dump.name), "--yes", "--json").ok().json["kept"]
    assert sorted(path.name for path in folder.iterdir()) == listed


@pytest.mark.slow
def test_the_steps_and_the_proof_are_reported(running: Installation) -> None:
    said = running.run(*RESTORE).ok().stderr
    steps = (
        "Validating the backup",
        "Prerequisites Check",
        "PostgreSQL 18 is ready",
        "Services",
        "Restoring the Database",
        "Restoring pre-data",
        "Restoring data",
        "Restoring post-data",
        "Comparing every row and object",
        "Verification and clean-up",
        "Restoration Summary",
        "proven equal: 220 rows in 13 tables",
        "Restore Completed Successfully",
    )
    places = [said.index(step) for step in steps]
    assert places == sorted(places)
