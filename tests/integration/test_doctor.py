"""The doctor and the checklist on real databases, sound ones and such that lack something."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archon_ops.model.runs import Result, RunRecord, ended
from archon_ops.storage.journal import new_run_id
from tests.direct import SOURCE, Direct
from tests.support import Completed, Installation

SECONDS = 120


def _findings(done: Completed) -> dict[str, dict[str, Any]]:
    """The answers by check; where there are several, the worst."""
    found: dict[str, dict[str, Any]] = {}
    for finding in done.json["findings"]:
        found.setdefault(finding["check"], finding)
    return found


def _status(done: Completed, check: str) -> str:
    return str(_findings(done)[check]["status"])


def _home(installation: Installation) -> Path:
    site = installation.site()
    return site.settings.home(site.name)


# --- a sound one --------------------------------------------------------------------------


def test_a_sound_source_has_no_problem(module_installation: Installation) -> None:
    before = module_installation.files()
    done = module_installation.run("doctor", "--json").ok()
    answer = done.json
    assert answer["backup_possible"] is True
    assert answer["counts"]["problem"] == 0
    assert _status(done, "server") == "ok"
    assert _status(done, "key.decrypts") == "ok"
    assert _findings(done)["key.decrypts"]["found"] == "ENCRYPTION_KEY decrypts 1 of 1 credentials"
    assert _status(done, "key.unchanged") == "ok"
    (skipped,) = answer["skipped"]
    assert skipped.startswith("containers, services and networks:")
    assert done.stderr == ""
    assert module_installation.files() == before


@pytest.mark.slow
def test_a_person_reads_what_is_wrong_and_how_much_is_well(
    module_installation: Installation,
) -> None:
    said = module_installation.run("doctor").ok().stdout
    assert "[note] backups.trust:" in said
    assert "    mend       inv verify latest --restore --source demo" in said
    assert "a backup can run" in said
    assert "[ok]" not in said
    assert "[ok] server:" in module_installation.run("doctor", "--verbose").ok().stdout


def test_the_checklist_is_ticked_from_what_is_there(module_installation: Installation) -> None:
    answer = module_installation.run("checklist", "--json").ok().json
    boxes = {box["text"]: box for phase in answer["phases"] for box in phase["boxes"]}
    assert answer["ticked"] + answer["open"] == sum(len(p["boxes"]) for p in answer["phases"])
    for text in (
        "Check PostgreSQL is ready",
        "Confirm backup directory writable",
        "Verify backup file created",
        "Confirm no errors in output",
        "Check file integrity (pg_restore --list)",
    ):
        assert boxes[text]["ticked"], boxes[text]
    proof = boxes["Test restoration in dev environment"]
    assert not proof["ticked"]
    assert proof["to_do"] == "inv verify latest --restore --source demo"


@pytest.mark.slow
def test_a_proven_restore_ticks_its_box(installation: Installation) -> None:
    installation.run("verify", "latest", "--restore").ok()
    said = installation.run("checklist", "--phase", "weekly").ok().stdout
    assert "[x] Verify latest backup is restorable" in said
    assert "[ ] Review retention policy" in said
    assert "Daily" not in said


def test_an_unknown_phase_is_a_usage_error(module_installation: Installation) -> None:
    done = module_installation.run("checklist", "--phase", "yearly").ended(2)
    assert "one of before, during, after, daily, weekly, monthly" in done.stderr


# --- something is missing -----------------------------------------------------------------


@pytest.mark.slow
def test_a_source_that_was_not_made_yet(empty_installation: Installation) -> None:
    done = empty_installation.run("doctor", "--json").ended(3)
    assert _findings(done)["server"]["mend"] == "inv demo"
    assert done.json["backup_possible"] is False
    empty_installation.run("checklist").ok()


@pytest.mark.slow
def test_the_harmless_things_are_mended(installation: Installation) -> None:
    shutil.rmtree(installation.backups)
    found = _findings(installation.run("doctor", "--json").ok())
    assert found["directory"]["mend"] == "inv doctor --fix --source demo"
    assert not installation.backups.exists()
    done = installation.run("doctor", "--fix", "--json").ok()
    assert done.json["mended"] == [f"made {installation.backups} (0700)"]
    assert installation.backups.stat().st_mode & 0o777 == 0o700
    assert _status(done, "directory") == "ok"


@pytest.mark.slow
def test_only_our_own_files_are_closed_to_others(installation: Installation) -> None:
    ours = installation.latest_dump()
    foreign = installation.backups / "foreign.dump"
    foreign.write_bytes(b"PGDMP")
    for path in (installation.backups, ours, foreign):
        path.chmod(0o755)
    assert _status(installation.run("doctor", "--json"), "directory.modes") == "warning"
    done = installation.run("doctor", "--fix", "--json").ok()
    assert len(done.json["mended"]) == 2
    assert _status(done, "directory.modes") == "ok"
    modes = [path.stat().st_mode & 0o777 for path in (installation.backups, ours, foreign)]
    assert modes == [0o700, 0o600, 0o755]


def test_a_missing_database_is_never_made(installation: Installation) -> None:
    installation.psql('DROP DATABASE "postgres"', "template1")
    done = installation.run("doctor", "--fix", "--json").ended(3)
    finding = _findings(done)["database"]
    assert finding["blocks_backup"]
    assert "inv restore latest --scope database --source demo" in finding["mend"]
    assert installation.databases() == ()


@pytest.mark.slow
def test_a_missing_database_beside_a_kept_one_is_looked_for(installation: Installation) -> None:
    installation.psql('ALTER DATABASE "postgres" RENAME TO archon_before_x', "template1")
    finding = _findings(installation.run("doctor", "--json").ended(3))["database"]
    assert "archon_before_x" in finding["found"]
    assert finding["mend"].startswith("look first: inv undo --list --source demo")


@pytest.mark.slow
def test_a_missing_database_is_not_offered_while_runs_cannot_be_read(
    installation: Installation,
) -> None:
    installation.psql('DROP DATABASE "postgres"', "template1")
    record = next((installation.backups / ".ops" / "runs").iterdir())
    record.write_text("{")
    finding = _findings(installation.run("doctor", "--json").ended(3))["database"]
    assert "not all run records can be read" in finding["found"]
    assert finding["mend"].startswith("look first: inv undo --list --source demo")


@pytest.mark.slow
def test_a_database_without_archon_blocks_a_backup(installation: Installation) -> None:
    tables = installation.psql(
        "SELECT string_agg('public.' || tablename, ',') FROM pg_tables"
        " WHERE tablename LIKE 'archon\\_%'"
    )
    installation.psql(f"TRUNCATE {tables}")
    done = installation.run("doctor", "--json").ended(3)
    assert "all its Archon tables are empty" in _findings(done)["backup"]["found"]


@pytest.mark.slow
def test_another_key_is_told_without_telling_it(installation: Installation) -> None:
    (_home(installation) / ".env").write_text('ENCRYPTION_KEY="canary-of-another-key"\n')
    done = installation.run("doctor", "--json").ok()
    assert _status(done, "key.unchanged") == "warning"
    assert _status(done, "key.decrypts") == "problem"
    assert "canary" not in done.stdout + done.stderr


def test_a_missing_key_is_a_problem(installation: Installation) -> None:
    (_home(installation) / ".env").unlink()
    done = installation.run("doctor", "--json").ok()
    assert _status(done, "key.present") == "problem"
    assert _status(done, "key.decrypts") == "unknown"


@pytest.mark.slow
def test_what_the_server_holds_is_looked_at(installation: Installation) -> None:
    installation.psql("CREATE SCHEMA storage")
    installation.psql("CREATE TABLE storage.objects AS SELECT 1 AS id")
    installation.psql("UPDATE pg_database SET datcollversion = '1' WHERE datname = 'postgres'")
    installation.psql("ALTER SYSTEM SET log_min_messages = 'panic'")
    installation.psql("SELECT pg_reload_conf()")
    done = installation.run("doctor", "--json").ok()
    assert "1 rows" in _findings(done)["storage.objects"]["found"]
    assert _status(done, "storage.objects") == "warning"
    assert _status(done, "server.collation") == "warning"
    assert _status(done, "server.log") == "note"


def test_a_damaged_backup_is_a_problem(installation: Installation) -> None:
    with installation.latest_dump().open("ab") as file:
        file.write(b"x")
    done = installation.run("doctor", "--json").ok()
    assert _status(done, "backups.trust") == "problem"
    assert "there is no good one" in _findings(done)["backups.trust"]["found"]


# --- behind a DSN -------------------------------------------------------------------------


def test_a_direct_source_skips_the_databases_container(direct: Direct) -> None:
    done = direct.run("doctor", "--json").ok()
    assert len(done.json["skipped"]) == 1
    assert "container" not in _findings(done)


def test_a_server_that_is_down_is_an_answer_and_a_quick_one(direct: Direct) -> None:
    direct.configure("postgresql://postgres@127.0.0.1:1/archon")
    began = time.monotonic()
    done = direct.run("doctor", "--json", env={"ARCHON_DEADLINES__CONNECT": "300"}).ended(3)
    assert time.monotonic() - began < SECONDS
    assert _findings(done)["server"]["blocks_backup"]
    assert _status(done, "backups.trust") == "note"  # what lies on the disk is looked at as ever


@pytest.mark.slow
def test_a_server_that_froze_is_an_answer(direct: Direct) -> None:
    direct.host.proxy.freeze()
    done = direct.run("doctor", "--json").ended(3)
    assert _findings(done)["server"]["blocks_backup"]


@pytest.mark.slow
def test_a_running_migration_blocks_a_backup(direct: Direct) -> None:
    with direct.host.locking("archon_tasks"):
        done = direct.run("doctor", "--json").ended(3)
    assert "the blocker" in _findings(done)["backup"]["found"]


# --- the file for a report ----------------------------------------------------------------

CANARY = "canary-{}-5f3e9a"
HIDDEN = {
    "file": CANARY.format("env"),
    "plain": CANARY.format("plainname"),
    "short": "pw7q",
    "url": CANARY.format("url"),
    "process": CANARY.format("process"),
    "dsn": CANARY.format("dsn"),
    "record": CANARY.format("record"),
    "detail": CANARY.format("detail"),
}


def _hide(direct: Direct) -> dict[str, str]:
    """Put secrets wherever an installation may have some; the environment of the command."""
    (direct.installation.root / ".env").write_text(
        f"ENCRYPTION_KEY={HIDDEN['file']}\nSOMETHING={HIDDEN['plain']}\nSMTP_PASS={HIDDEN['short']}"
        f"\nDATABASE=postgresql://u:{HIDDEN['url']}@db/x\n"
    )
    direct.configure(direct.host.dsn.replace("postgres@", f"postgres:{HIDDEN['dsn']}@"))
    site = direct.installation.site(source=SOURCE)
    now = site.clock()
    record = RunRecord(new_run_id(now), "backup", SOURCE, now, os.getpid(), "elsewhere")
    site.journal.start(record)
    site.journal.finish(
        ended(
            replace(record, details={"access_token": HIDDEN["detail"]}),
            now,
            Result.FAILED,
            1,
            reason=f"no connection to postgresql://u:{HIDDEN['record']}@db/x ({HIDDEN['file']}); "
            f"{HIDDEN['plain']} {HIDDEN['short']} {HIDDEN['url']} {HIDDEN['process']}",
        )
    )
    return {"OPENAI_API_KEY": HIDDEN["process"]}


@pytest.mark.slow
def test_the_report_tells_all_that_helps_and_no_secret(direct: Direct) -> None:
    env = _hide(direct)
    path = direct.installation.root / "report.json"
    done = direct.run("doctor", "--json", "--report", str(path), env=env).ok()
    assert done.json["report"] == str(path)
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    for where, secret in HIDDEN.items():
        assert secret not in text, where
    report = json.loads(text)
    assert report["runs"][0]["result"] == "failed"
    assert "no connection to postgresql://u:***@db/x" in report["runs"][0]["reason"]
    assert report["runs"][0]["details"] == {"access_token": "***"}
    assert report["versions"]["archon_ops"]
    assert report["versions"]["server"].startswith("18.")
    tables = {table["table"] for table in report["database"]["tables"]}
    assert {"archon_tasks", "archon_sources"} <= tables
    assert report["disk"][0]["free_bytes"] > 0
    assert report["backups"]["count"] == 1
    assert report["diagnosis"]["findings"]


def test_a_report_is_never_written_over_anything(direct: Direct) -> None:
    path = direct.installation.root / "report.json"
    path.symlink_to("nowhere")
    done = direct.run("doctor", "--report", str(path)).ended(3)
    assert "exists already and is not overwritten" in done.stderr
    assert done.stdout == ""
    assert path.is_symlink()


def test_a_report_can_be_made_when_everything_is_down(empty_installation: Installation) -> None:
    empty_installation.run("doctor", "--report", "report.json", "--quiet").ended(3)
    report = json.loads((empty_installation.root / "report.json").read_text())
    assert report["database"] is None
    assert report["containers"] == []
