"""Single rows come back: with what they need, and no other row is touched."""

from __future__ import annotations

import contextlib
import json
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archon_ops.actions import rescue
from archon_ops.errors import ExitCode, LockedError, OpsError, PreconditionError, UsageError
from archon_ops.model.rescue import RescuePlan
from tests.support import Installation

PROJECT = "(SELECT min(id::text)::uuid FROM public.archon_projects)"
TASK = "(SELECT min(id::text)::uuid FROM public.archon_tasks WHERE parent_task_id IS NULL)"


@pytest.fixture(scope="module")
def running(module_installation: Installation) -> Iterator[Installation]:
    """An installation whose server runs throughout; every test leaves its rows as they were."""
    with module_installation.server():
        before = module_installation.content()
        yield module_installation
        assert module_installation.content() == before


def agree(_plan: RescuePlan) -> None:
    """Let it be done."""


def brought_back(installation: Installation, table: str, **more: object) -> rescue.Rescued:
    """Rescue in this process."""
    with installation._temporary_here():
        request = rescue.Request("latest", table, **more)  # type: ignore[arg-type]
        return rescue.rescue(installation.site(), request, agree)


def apply(installation: Installation, file: Path) -> rescue.Rescued:
    """Carry out a plan file in this process."""
    site = installation.site()
    return rescue.apply(site, rescue.read_plan(site, file), agree)


@contextlib.contextmanager
def writing(installation: Installation) -> Iterator[list[float]]:
    """Archon goes on writing to a table that rows come back to; the times of what was taken."""
    done: list[float] = []
    stop = threading.Event()

    def write() -> None:
        with installation.connect() as connection:
            while not stop.wait(0.05):
                connection.execute("INSERT INTO public.archon_tasks (title) VALUES ('meanwhile')")
                done.append(time.monotonic())

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()


@pytest.mark.slow
def test_a_deleted_project_comes_back_with_all_that_its_deletion_took(
    running: Installation,
) -> None:
    before = running.content()
    running.psql("INSERT INTO public.archon_prompts (prompt_name, prompt) VALUES ('new', 'new')")
    running.psql(f"DELETE FROM public.archon_projects WHERE id = {PROJECT}")
    assert running.content() != before

    with writing(running) as written:
        done = running.run("rescue", "latest", "--table", "archon_projects", "--yes", "--json").ok()
    proof = {table["table"]: table for table in done.json["proof"]["tables"]}
    assert done.json["proof"]["equal"] is True
    assert proof["public.archon_projects"]["inserted"] == 1
    assert proof["public.archon_tasks"]["inserted"] > 1
    assert proof["public.archon_document_versions"]["inserted"] > 1
    file = Path(done.json["plan"]["file"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    running.psql("DELETE FROM public.archon_prompts WHERE prompt_name = 'new'")
    gone = running.psql("WITH d AS (DELETE FROM public.archon_tasks WHERE title = 'meanwhile'"
                        " RETURNING 1) SELECT count(*) FROM d")  # fmt: skip
    assert int(gone) == len(written) > 0
    assert running.content() == before
    # Only what is needed was read: not one of the large tables.
    assert "archon_crawled_pages" not in file.read_text()


@pytest.mark.slow
def test_a_parent_comes_back_for_its_child_and_nothing_else_of_it(running: Installation) -> None:
    before = running.content()
    task, project = running.psql("""SELECT id, project_id FROM public.archon_tasks
        WHERE parent_task_id IS NOT NULL AND project_id IS NOT NULL LIMIT 1""").split("|")
    delete = f"DELETE FROM public.archon_projects WHERE id = '{project}'"
    running.psql(delete)
    done = brought_back(running, "public.archon_tasks", where=f"id = '{task}'")
    rows = {t.table: t.inserted for t in done.proof.tables}
    # The task, the one that it is part of, and their project; versions went along with the tasks.
    assert rows.pop("public.archon_projects") == 1
    assert rows.pop("public.archon_tasks") == 2
    assert rows.keys() <= {"public.archon_document_versions"}
    running.psql(delete)
    brought_back(running, "archon_projects")
    assert running.content() == before


@pytest.mark.slow
def test_changed_rows_go_back_only_when_asked_and_keep_their_time(running: Installation) -> None:
    before = running.content()
    running.psql(f"UPDATE public.archon_tasks SET title = 'x', status = 'done' WHERE id = {TASK}")
    assert brought_back(running, "archon_tasks").plan.rows == 0
    done = brought_back(running, "archon_tasks", changed=True, where="title <> 'x'")
    assert (done.plan.inserted, done.plan.updated) == (0, 1)
    assert running.content() == before
    enabled = "SELECT tgenabled FROM pg_trigger WHERE tgname = 'update_archon_tasks_updated_at'"
    assert running.psql(enabled) == "O"


@pytest.mark.slow
def test_a_reviewed_plan_is_carried_out_without_the_rows_that_were_left_out(
    running: Installation,
) -> None:
    before = running.content()
    running.psql("DELETE FROM public.archon_prompts")
    count = len(before.tables) and next(t.rows for t in before.tables if "prompts" in t.table)
    dry = running.run("rescue", "latest", "--table", "archon_prompts", "--dry-run", "--json").ok()
    assert running.psql("SELECT count(*) FROM public.archon_prompts") == "0"
    file = Path(dry.json["plan"]["file"])
    plan = json.loads(file.read_text())
    left_out = plan["tables"][0]["rows"].pop()
    file.write_text(json.dumps(plan))
    running.run("rescue", "latest", "--plan", str(file), "--yes").ok()
    assert running.psql("SELECT count(*) FROM public.archon_prompts") == str(count - 1)

    plan["tables"][0]["rows"] = [left_out]
    file.write_text(json.dumps(plan))
    with running._temporary_here():
        apply(running, file)
        assert running.content() == before
        again = apply(running, file)  # it was carried out: nothing to do, and nothing wrong
        assert (again.proof.tables, again.exit_code) == ((), ExitCode.DONE)
        backup, left_out["backup"] = left_out["backup"], "0" * 64
        file.write_text(json.dumps(plan))
        with pytest.raises(PreconditionError, match="live again, 1 of them not as the backup"):
            apply(running, file)
        running.psql(f"DELETE FROM public.archon_prompts WHERE id = '{left_out['key'][0]}'")
        with pytest.raises(PreconditionError, match="not those of the plan"):
            apply(running, file)
        left_out["backup"] = backup
        file.write_text(json.dumps(plan))
        apply(running, file)
        for damage in ("{}", "no plan: secret", json.dumps({**plan, "source": 1})):
            file.write_text(damage)
            with pytest.raises(UsageError, match="not a plan") as refused:
                apply(running, file)
            assert "secret" not in refused.value.message
    assert running.content() == before


@pytest.mark.slow
def test_nothing_is_written_when_something_is_in_the_way(running: Installation) -> None:
    before = running.content()
    running.psql("UPDATE public.archon_prompts SET prompt = 'x'")
    changed = running.content()
    with running.connect() as writer, writer.transaction(force_rollback=True):
        writer.execute("UPDATE public.archon_prompts SET prompt = 'y'")
        with pytest.raises(LockedError, match=r"pid \d+ \(postgres, idle in transaction"):
            brought_back(running, "archon_prompts", changed=True)
    assert running.content() == changed

    running.psql("""CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE public.archon_sources SET title = 'meddled'; RETURN NEW; END $$;
        CREATE TRIGGER meddling AFTER UPDATE ON public.archon_prompts
        FOR EACH ROW EXECUTE FUNCTION public.meddle()""")
    with pytest.raises(OpsError, match=r"archon_sources: \d+ rows updated, 0 meant.*meddling on"):
        brought_back(running, "archon_prompts", changed=True)
    running.psql("DROP FUNCTION public.meddle CASCADE")
    assert running.content() == changed
    brought_back(running, "archon_prompts", changed=True)
    assert running.content() == before


@pytest.mark.slow
def test_columns_that_came_and_went_and_keys_that_are_missing(installation: Installation) -> None:
    with installation.server():
        installation.psql("""
            CREATE TABLE public.archon_plain (name text);
            INSERT INTO public.archon_plain VALUES ('a');
            CREATE TABLE public.archon_numbered (
                id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "a%s""b" text, twice text
                GENERATED ALWAYS AS ("a%s""b" || "a%s""b") STORED, gone int, kept int,
                next int REFERENCES public.archon_numbered DEFERRABLE);
            INSERT INTO public.archon_numbered ("a%s""b", gone, kept)
                VALUES ('x', 1, 1), ('y', 2, 2);
            UPDATE public.archon_numbered SET next = 3 - id;""")
        installation.run("backup").ok()
        installation.psql("""
            DELETE FROM public.archon_numbered;
            ALTER TABLE public.archon_numbered DROP COLUMN gone, ADD COLUMN fresh int DEFAULT 7,
                ALTER COLUMN kept TYPE bigint;
            ALTER SEQUENCE public.archon_numbered_id_seq RESTART;
            DELETE FROM public.archon_plain""")
        done = installation.run("rescue", "latest", "--table", "archon_numbered", "--yes").ok()
        assert "archon_numbered.gone was dropped since" in done.stderr
        assert "archon_numbered.fresh was added since" in done.stderr
        assert "archon_numbered.kept was integer and is bigint now" in done.stderr
        rows = (
            'SELECT id, "a%s""b", twice, kept, next, fresh FROM public.archon_numbered ORDER BY 1'
        )
        assert installation.psql(rows) == "1|x|xx|1|2|7\n2|y|yy|2|1|7"
        inserted = 'INSERT INTO public.archon_numbered ("a%s""b") VALUES (\'z\') RETURNING id'
        assert installation.psql(inserted) == "3"

        refused = installation.run("rescue", "latest", "--table", "archon_plain", "--yes").ended(3)
        assert "public.archon_plain has no primary key" in refused.stderr
        found = installation.run("rescue", "latest", "--diff", "--json").ok().json
        tables = {t["table"]: t for t in found["tables"]}
        assert tables["public.archon_plain"]["missing"] is None
        assert "primary key" in tables["public.archon_plain"]["note"]
        numbered = tables["public.archon_numbered"]
        assert (numbered["missing"], numbered["changed"], numbered["only_live"]) == (0, 0, 1)
        assert tables["public.archon_tasks"]["missing"] == 0

        installation.psql("""
            ALTER TABLE public.archon_numbered ADD COLUMN must int NOT NULL DEFAULT 1;
            ALTER TABLE public.archon_numbered ALTER must DROP DEFAULT;
            UPDATE public.archon_numbered SET next = NULL;""")
        installation.psql("DELETE FROM public.archon_numbered WHERE id = 1")
        refused = installation.run("rescue", "latest", "--table", "archon_numbered").ended(3)
        assert "archon_numbered.must was added since the backup, is NOT NULL" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "rescue needs --table, --plan or --diff"),
        (("--table", "nothing"), 2, "holds no rows of a table public.nothing"),
        (("--table", "."), 2, "is not a table"),
        (("--diff", "--table", "archon_tasks"), 2, "takes none of the other flags"),
        (("--plan", "/nowhere"), 3, "cannot read the plan /nowhere"),
        (("--table", "archon_tasks", "--where", "no sql"), 2, "--where cannot be used"),
    ],
)
def test_what_makes_no_sense(
    running: Installation, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = running.run("rescue", "latest", *arguments, "--yes").ended(code)
    assert said in done.stderr
    assert done.stderr.count("\nhint: ") <= 1


def test_a_damaged_backup_brings_nothing_back(installation: Installation) -> None:
    dump = installation.latest_dump()
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 1
    dump.write_bytes(data)
    done = installation.run("rescue", "latest", "--table", "archon_tasks", "--yes").ended(4)
    assert "checksum" in done.stderr


@pytest.mark.slow
def test_rows_of_another_archon_want_trust(
    running: Installation, empty_installation: Installation
) -> None:
    empty_installation.make_demo()
    foreign = str(empty_installation.latest_dump())
    asked = ("rescue", foreign, "--table", "archon_prompts", "--dry-run")
    refused = running.run(*asked).ended(4).stderr
    assert refused.count("server ") >= 2
    assert "add --trust" in refused
    assert "the backup is of server" in running.run(*asked, "--trust").ok().stdout
