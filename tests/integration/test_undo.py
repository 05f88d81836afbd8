"""Undo and redo: what comes back, what leaves, what is kept and for how long."""

from __future__ import annotations

import json

import pytest

from tests.support import Installation

RESTORE = ("restore", "latest", "--scope", "database", "--yes")
UNDO = ("undo", "--yes")
INSERT = """INSERT INTO public.archon_tasks (project_id, title)
            SELECT id, 'later' FROM public.archon_projects LIMIT 1"""
LATER = "SELECT count(*) FROM public.archon_tasks WHERE title = 'later'"


def kept(installation: Installation) -> list[str]:
    """Names of the databases that are kept, as the server has them."""
    return [name for name in installation.databases() if name.startswith("archon_before_")]


def expire(installation: Installation) -> None:
    """Let everything that is kept be of last year."""
    for name in kept(installation):
        query = (
            f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname='{name}'"
        )
        mark = installation.psql(query, "template1")
        head, _, values = mark.partition("{")
        old = {**json.loads("{" + values), "kept_at": "2020-01-01T00:00:00+00:00"}
        comment = (head + json.dumps(old)).replace("'", "''")
        installation.psql(f"COMMENT ON DATABASE \"{name}\" IS '{comment}'", "template1")
    for record in (installation.backups / ".ops" / "runs").glob("*.json"):
        document = json.loads(record.read_text())
        if document["details"].get("kept"):
            document["details"]["kept"]["expires_at"] = "2020-01-08T00:00:00+00:00"
            record.write_text(json.dumps(document))


@pytest.mark.slow
def test_rows_written_after_a_restore_leave_with_the_undo_and_come_back(
    running: Installation,
) -> None:
    running.psql("DELETE FROM public.archon_prompts")
    changed = running.content()
    running.run(*RESTORE).ok()
    running.psql(INSERT)
    running.psql("UPDATE public.archon_sources SET title = 'x' WHERE source_id ="
                 " (SELECT min(source_id) FROM public.archon_sources)")  # fmt: skip
    written = running.content()

    shown = running.run("undo", "--dry-run").ok().stdout
    assert "Loss     2 rows that were written since then leave service" in shown
    assert "public.archon_tasks: 1" in shown
    planned = running.run("undo", "--dry-run", "--json").ok().json
    assert planned["rows_leaving"] == {"public.archon_sources": 1, "public.archon_tasks": 1}
    assert running.content() == written

    done = running.run(*UNDO, "--json").ok().json
    assert done["rows_left"] == 2
    assert running.content() == changed
    assert done["kept"] in running.databases()

    said = running.run(*UNDO).ok()
    assert "none: no row was written since then" in said.stderr
    assert running.content() == written


@pytest.mark.slow
def test_nothing_to_undo(running: Installation) -> None:
    for command in (UNDO, ("undo", "--dry-run"), ("undo", "--finalize", "--yes")):
        done = running.run(*command).ended(3)
        assert "no" in done.stderr
        assert "database postgres" in done.stderr
        assert "hint:" in done.stderr
    assert running.run("undo", "--list", "--json").ok().json["kept"] == []


@pytest.mark.slow
def test_list_status_and_finalize(running: Installation) -> None:
    running.run(*RESTORE).ok()
    (name,) = kept(running)
    (entry,) = running.run("undo", "--list", "--json").ok().json["kept"]
    assert entry["name"] == name
    assert entry["size_bytes"] > 1 << 20
    assert entry["replaced_by"].endswith(".dump")
    assert entry["expires_at"] > entry["kept_at"]
    assert name in running.run("undo", "--list").ok().stdout
    held = running.run("status", "--json").ok().json["kept"]
    assert (held["name"], held["size_bytes"], held["count"]) == (name, entry["size_bytes"], 1)
    assert name in running.run("status").ok().stdout

    refused = running.run("undo", "--finalize").ended(3)
    assert f"Drop {name}" in refused.stderr
    assert kept(running) == [name]
    dropped = running.run("undo", "--finalize", "--yes", "--json").ok().json["dropped"]
    assert [one["name"] for one in dropped] == [name]
    assert kept(running) == []
    assert running.run("status", "--json").ok().json["kept"] is None


@pytest.mark.slow
def test_a_second_restore_shows_and_drops_what_the_first_kept(running: Installation) -> None:
    running.run(*RESTORE).ok()
    (first,) = kept(running)
    shown = running.run("restore", "latest", "--dry-run").ok().stdout
    assert f"Drops    {first} (" in shown
    done = running.run(*RESTORE, "--json").ok().json
    assert done["plan"]["drops"] == [first]
    assert kept(running) == [done["kept"]]


@pytest.mark.slow
def test_production_was_dropped_by_somebody(running: Installation) -> None:
    before = running.content()
    running.run(*RESTORE).ok()
    running.psql("DROP DATABASE postgres WITH (FORCE)", "template1")
    (name,) = kept(running)
    plan = running.run("restore", "latest", "--dry-run").ok().stdout
    assert f"{name} is kept from an earlier restore: inv undo would bring that back" in plan
    shown = running.run("undo", "--dry-run").ok().stdout
    assert "nothing is kept: there is no database postgres now" in shown
    assert running.run(*UNDO, "--json").ok().json["kept"] is None
    assert running.content() == before
    assert kept(running) == []


@pytest.mark.slow
def test_a_restore_into_nothing_keeps_what_an_earlier_one_kept(running: Installation) -> None:
    running.psql(INSERT)
    running.run(*RESTORE).ok()
    (name,) = kept(running)
    running.psql("DROP DATABASE postgres WITH (FORCE)", "template1")
    running.run(*RESTORE).ok()
    assert kept(running) == [name]
    assert "cannot all be counted" in running.run("undo", "--dry-run").ok().stdout
    running.run(*UNDO).ok()
    assert running.psql(LATER) == "1"


@pytest.mark.slow
@pytest.mark.parametrize("dropped_by", ["prune", "restore"])
def test_what_is_kept_expires(running: Installation, dropped_by: str) -> None:
    running.run(*RESTORE).ok()
    (name,) = kept(running)
    if dropped_by == "restore":  # into nothing; otherwise it would go anyway
        running.psql("DROP DATABASE postgres WITH (FORCE)", "template1")
    command = ("prune",) if dropped_by == "prune" else ("restore", "latest")
    before = running.run(*command, "--dry-run").ok()
    assert "Drops" not in before.stdout
    expire(running)
    dry = running.run(*command, "--dry-run").ok()
    assert name in dry.stdout
    assert kept(running) == [name]
    done = running.run(*command, "--yes").ok()
    assert name in done.stderr
    assert name not in running.databases()
    if dropped_by == "prune":
        assert running.run("status", "--json").ok().json["kept"] is None


@pytest.mark.slow
def test_an_undo_of_what_has_expired_is_still_possible(running: Installation) -> None:
    running.psql(INSERT)
    running.run(*RESTORE).ok()
    expire(running)
    running.run(*UNDO).ok()
    assert running.psql(LATER) == "1"


@pytest.mark.slow
def test_kept_for_is_a_setting(running: Installation) -> None:
    running.run(*RESTORE).ok()
    env = {"ARCHON_KEPT_FOR": "2w"}
    (entry,) = running.run("undo", "--list", "--json", env=env).ok().json["kept"]
    kept_at, expires_at = entry["kept_at"], entry["expires_at"]
    assert expires_at[8:10] != kept_at[8:10]
    assert running.run("undo", "--list", env={"ARCHON_KEPT_FOR": "soon"}).returncode == 2


@pytest.mark.slow
def test_a_table_that_cannot_be_read_does_not_stop_an_undo(running: Installation) -> None:
    running.psql(INSERT)
    running.run(*RESTORE).ok()
    running.psql("ALTER TABLE public.archon_prompts ENABLE ROW LEVEL SECURITY")
    running.psql("SET allow_system_table_mods = on; DELETE FROM pg_attribute WHERE attrelid ="
                 " 'public.archon_prompts'::regclass AND attname = 'prompt'")  # fmt: skip
    done = running.run(*UNDO)
    assert done.returncode == 0, done
    assert running.psql(LATER) == "1"


@pytest.mark.slow
def test_what_was_half_dropped_never_comes_back(running: Installation) -> None:
    running.run(*RESTORE).ok()
    (name,) = kept(running)
    running.psql(f"COMMENT ON DATABASE \"{name}\" IS 'archon_ops: being dropped'", "template1")
    assert running.run("undo", "--list", "--json").ok().json["kept"] == []
    done = running.run(*UNDO).ended(3)
    assert "nothing to undo" in done.stderr
    assert f"dropped what a killed run left: database {name}" in done.stderr
    assert kept(running) == []


def test_list_and_finalize_exclude_each_other(running: Installation) -> None:
    assert running.run("undo", "--list", "--finalize").returncode == 2
