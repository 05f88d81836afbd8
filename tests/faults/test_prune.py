"""Whatever is asked of retention, a good backup stays; and where backups lie, nobody else reads."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archon_ops.model.dump_names import dump_name
from archon_ops.storage.manifest import read
from archon_ops.storage.names import manifest_path
from tests.direct import error_of
from tests.support import Installation, require

# Nobody may not even read a Python below /root, so all of it is loaded before.
AS_NOBODY = """
import os
from invoke.main import program
def run(*args):
    try:
        program.run(["inv", *args])
    except SystemExit as end:
        return end.code
    return 0
run("backup", "--source", "archon", "--backup-dir", "warmed-up")
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
os._exit(run("backup", "--source", "archon"))
"""


def names(installation: Installation) -> set[str]:
    return {path.name for path in installation.dumps()}


def flip(dump: Path) -> None:
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 1
    dump.write_bytes(data)


def foreign(installation: Installation, at: datetime, content: bytes | None = None) -> Path:
    """A dump of the document's script: no manifest, local time in its name."""
    source = installation.latest_dump()
    dump = installation.backups / dump_name(at)
    dump.write_bytes(source.read_bytes() if content is None else content)
    os.utime(dump, (at.timestamp(), at.timestamp()))
    return dump


# --- C3: many failures -------------------------------------------------------------------------


@pytest.mark.slow
def test_failed_runs_push_no_good_backup_out(installation: Installation) -> None:
    good = names(installation)
    for _ in range(5):
        installation.run("backup", "--retention", "1", "--exclude-table", "no.such").ended(2)
    assert names(installation) == good
    installation.run("prune", "--retention", "1", "--yes").ok()
    assert names(installation) == good
    installation.run("verify", "latest").ok()


# --- C4: odd numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["0", "-1", "text", "", "1.5", "1e3", " ", "9" * 40])
@pytest.mark.parametrize("task", ["backup", "prune"])
def test_a_retention_that_makes_no_sense_changes_nothing(
    module_installation: Installation, task: str, given: str
) -> None:
    before = module_installation.files()
    told = error_of_usage(module_installation.run(task, f"--retention={given}"))
    assert "retention" in told
    assert module_installation.files() == before


def error_of_usage(done: object) -> str:
    """A usage error names the flag; a hint helps only where there is something to type."""
    stderr = done.ended(2).stderr  # type: ignore[attr-defined]
    lines = [line for line in stderr.splitlines() if line.startswith(("error: ", "hint: "))]
    assert len(lines) <= 3
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize("variable", ["0", "-1", "text", "", "1.5"])
def test_a_retention_of_the_settings_that_makes_no_sense(
    module_installation: Installation, variable: str
) -> None:
    before = module_installation.files()
    told = error_of(module_installation.run("prune", env={"ARCHON_RETENTION__LAST": variable}), 2)
    assert "ARCHON_RETENTION__LAST" in told
    assert module_installation.files() == before


def test_a_huge_retention_is_honoured(module_installation: Installation) -> None:
    before = module_installation.files()
    answer = module_installation.run("prune", "--retention", "1000000000", "--json").ok().json
    assert answer["removed"] == []
    assert module_installation.files() == before


# --- C5: the newest is damaged -----------------------------------------------------------------


@pytest.mark.slow
def test_prune_reads_the_backup_that_the_others_go_for(installation: Installation) -> None:
    """The newest was flipped after it was taken, and nobody has looked since."""
    installation.run("backup").ok()
    old, new = installation.dumps()
    flip(new)
    done = installation.run("prune", "--retention", "1", "--yes").ok()
    assert old.exists()
    assert f"{new.name} is damaged (checksum)" in done.stderr
    error_of(installation.run("restore", "latest", "--scope", "database", "--yes"), 4)
    installation.run("verify", old.name).ok()


@pytest.mark.slow
def test_a_damaged_newest_backup_gives_way_to_a_new_one(installation: Installation) -> None:
    installation.run("backup").ok()
    old, damaged = installation.dumps()
    flip(damaged)
    installation.run("verify", "latest").ended(4)
    installation.run("backup", "--retention", "1").ok()
    newest = installation.latest_dump()
    assert names(installation) == {newest.name}
    installation.run("verify", "latest").ok()
    assert not manifest_path(old).exists()


@pytest.mark.slow
def test_an_archive_reads_the_newest_first_as_well(installation: Installation) -> None:
    installation.run("backup").ok()
    old, new = installation.dumps()
    flip(new)
    archive = installation.root / "archive"
    installation.run("prune", "--archive-to", str(archive), "--older-than", "0h", "--yes")
    assert old.exists()
    assert new.exists()


# --- consent -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_prune_shows_what_it_would_do_and_asks(installation: Installation) -> None:
    installation.run("backup").ok()
    before = installation.files()
    done = installation.run("prune", "--retention", "1")
    told = error_of(done, 3)
    assert "older than the last 1" in done.stdout
    assert "1 backup of source demo would be removed" in done.stderr
    assert "--yes" in told
    assert installation.files() == before
    installation.run("prune", "--retention", "1", "--dry-run").ok()
    assert installation.files() == before


# --- dumps of the document's scripts -----------------------------------------------------------


@pytest.mark.slow
def test_dumps_of_the_scripts_are_listed_and_never_deleted(installation: Installation) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    old = foreign(installation, now - timedelta(days=400))
    # Its name says local time, perhaps hours off; its file's time is what counts.
    newer = foreign(installation, now + timedelta(hours=9))
    os.utime(newer, ((now - timedelta(hours=30)).timestamp(),) * 2)
    ours = next(d for d in installation.dumps() if manifest_path(d).exists())
    entries = {e["filename"]: e for e in installation.run("backups", "--json").ok().json["backups"]}
    assert entries[newer.name]["trust"] == "unmanaged"
    assert entries[newer.name]["age_hours"] == pytest.approx(30, abs=0.2)
    assert entries[newer.name]["rows"] is None
    assert list(entries) == [ours.name, newer.name, old.name]
    status = installation.run("status", "--json").ok().json
    assert (status["latest_filename"], status["unmanaged_count"]) == (ours.name, 2)
    installation.run("backup", "--retention", "1").ok()
    installation.run("prune", "--retention", "1", "--yes").ok()
    assert old.exists()
    assert newer.exists()
    told = error_of(installation.run("restore", newer.name, "--scope", "database", "--yes"), 4)
    assert "--trust" in told


@pytest.mark.slow
def test_dumps_of_the_scripts_move_to_an_archive_when_asked(installation: Installation) -> None:
    old = foreign(installation, datetime.now(UTC) - timedelta(days=30))
    content = old.read_bytes()
    archive = installation.root / "archive"
    asked = ("prune", "--archive-to", str(archive), "--older-than", "7d", "--yes")
    installation.run(*asked).ok()
    assert old.exists()
    installation.run(*asked, "--unmanaged").ok()
    assert not old.exists()
    assert (archive / old.name).read_bytes() == content


@pytest.mark.slow
def test_only_dumps_of_the_scripts_still_have_a_state(installation: Installation) -> None:
    ours = installation.latest_dump()
    manifest_path(ours).unlink()
    now = datetime.now(UTC)
    for hours, level, code in (
        (1, "healthy: Backup is fresh (1.0h old)", 0),
        (7.7, "aging: Backup is aging (7.7h old)", 6),
        (25.3, "outdated: Backup is outdated (25.3h old)", 7),
        (50, "critical: Backup is critically old (50.0h old)", 7),
    ):
        os.utime(ours, ((now - timedelta(hours=hours)).timestamp(),) * 2)
        answer = installation.run("status", "--fail-on", "aging", "--json").ended(code).json
        assert f"{answer['health']}: {answer['health_message']}" == level
        assert answer["trust"] == "unmanaged"
    told = error_of(installation.run("verify", "latest"), 3)
    assert "only 1 dump(s) without a manifest" in told


# --- the document's answers --------------------------------------------------------------------


def test_the_list_has_the_documents_fields_in_its_order(module_installation: Installation) -> None:
    answer = module_installation.run("backups", "--json").ok().json
    assert list(answer)[:4] == ["count", "backups", "total_size_bytes", "total_size_human"]
    assert answer["source"] == "demo"
    (entry,) = answer["backups"]
    dump = module_installation.latest_dump()
    fields = ["filename", "timestamp", "age_hours", "size_bytes", "size_human", "path"]
    assert list(entry)[:6] == fields
    assert entry["filename"] == dump.name
    # UTC without a zone, as the document writes it; ours beside it has one.
    assert datetime.fromisoformat(entry["timestamp"]).tzinfo is None
    assert entry["timestamp_utc"] == f"{entry['timestamp']}Z"
    assert [type(entry[f]) for f in fields] == [str, str, float, int, str, str]
    assert entry["size_bytes"] == dump.stat().st_size == answer["total_size_bytes"]
    assert entry["path"] == str(dump)
    assert answer["count"] == 1
    manifest = read(dump)
    assert manifest is not None
    assert entry["rows"] == manifest.rows


def test_the_status_has_the_documents_fields_in_its_order(
    module_installation: Installation,
) -> None:
    answer = module_installation.run("status", "--json").ok().json
    fields = {
        "source": str,
        "latest_backup": str,
        "age_hours": float,
        "size_bytes": int,
        "size_human": str,
        "count": int,
        "max_retention": int,
        "health": str,
        "health_message": str,
        "location": str,
        "disk_usage_percent": float,
    }
    assert list(answer)[:11] == list(fields)
    assert {name: type(answer[name]) for name in fields} == fields
    assert answer["source"] == "demo"
    assert answer["max_retention"] == 10
    assert answer["health_message"] == f"Backup is fresh ({answer['age_hours']}h old)"
    assert datetime.fromisoformat(answer["latest_backup"]).tzinfo is None


@pytest.mark.slow
def test_a_damaged_newest_backup_is_critical(installation: Installation) -> None:
    flip(installation.latest_dump())
    installation.run("verify", "latest").ended(4)
    answer = installation.run("status", "--json", "--fail-on", "critical").ended(7).json
    assert answer["health"] == "critical"
    assert answer["health_message"].startswith("Backup is damaged (")
    human = installation.run("status").ok()
    assert "checksum: its bytes are not those that were written" in human.stdout


def test_no_backups_at_all(installation: Installation) -> None:
    for path in installation.backups.glob("archon*"):
        path.unlink()
    answer = installation.run("status", "--json", "--fail-on", "missing").ended(7).json
    assert (answer["health"], answer["health_message"]) == ("missing", "No backups found")
    assert (answer["latest_backup"], answer["age_hours"], answer["count"]) == (None, None, 0)
    listed = installation.run("backups", "--json").ok().json
    assert (listed["count"], listed["backups"], listed["total_size_bytes"]) == (0, [], 0)
    for task in ("verify", "restore"):
        told = error_of(installation.run(task, "latest", *(["--yes"] * (task == "restore"))), 3)
        assert "no backups in" in told
        assert "inv backup" in told
    installation.run("prune", "--retention", "1", "--yes").ok()


@pytest.mark.parametrize("task", ["status", "backups"])
def test_a_source_that_was_not_made_yet_is_no_source_without_backups(
    empty_installation: Installation, task: str
) -> None:
    told = error_of(empty_installation.run(task), 3)
    assert told.endswith("hint: inv demo")


def test_thresholds_are_settings(installation: Installation) -> None:
    dump = installation.latest_dump()
    manifest_path(dump).unlink()
    two_hours_ago = time.time() - 2 * 3600
    os.utime(dump, (two_hours_ago, two_hours_ago))
    env = {"ARCHON_HEALTH__AGING": "1h", "ARCHON_HEALTH__OUTDATED": "3h"}
    assert installation.run("status", "--json", env=env).ok().json["health"] == "aging"
    falling = {"ARCHON_HEALTH__AGING": "90h"}
    error_of(installation.run("status", env=falling), 2)


# --- B15, B16, B17: the directory, the umask, the content --------------------------------------


def test_a_parent_that_is_missing(module_installation: Installation) -> None:
    where = module_installation.root / "not" / "mounted"
    told = error_of(module_installation.run("backup", "--backup-dir", str(where)), 3)
    assert f"the folder {where.parent} does not exist" in told
    assert not where.parent.exists()


@pytest.mark.slow
def test_a_directory_that_is_missing_is_made(installation: Installation) -> None:
    where = installation.root / "elsewhere"
    installation.run("backup", "--backup-dir", str(where)).ok()
    assert len(list(where.glob("*.dump"))) == 1


def test_a_file_where_the_directory_should_be(module_installation: Installation) -> None:
    where = module_installation.root / "a file"
    where.write_text("mine")
    told = error_of_what(module_installation.run("backup", "--backup-dir", str(where)))
    assert f"{where} is not a folder" in told
    assert where.read_text() == "mine"


def error_of_what(done: object) -> str:
    return next(
        line
        for line in done.ended(3).stderr.splitlines()  # type: ignore[attr-defined]
        if line.startswith("error: ")
    )


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    made: list[Path] = []

    def mount(options: str) -> Path:
        path = tmp_path / f"mount{len(made)}"
        path.mkdir()
        argv = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
        require(subprocess.run(argv, capture_output=True, check=False).returncode == 0, "mount")
        made.append(path)
        return path

    yield mount
    for path in made:
        subprocess.run(["umount", str(path)], check=True)  # noqa: S607 - wherever it is


@pytest.mark.slow
def test_a_directory_that_is_mounted_read_only(
    module_installation: Installation, mounted: Callable[[str], Path]
) -> None:
    where = mounted("ro")
    before = module_installation.content()
    for inside in (where, where / "new"):
        done = module_installation.run("backup", "--backup-dir", str(inside))
        told = error_of(done, 3)
        assert str(inside) in told
        assert "mounted read-only" in told
        assert "as user " in told
        assert "Backing Up" not in done.stderr
    assert module_installation.content() == before


def test_a_directory_of_another_user(module_installation: Installation, tmp_path: Path) -> None:
    require(os.geteuid() == 0, "root, to become another user")
    root = module_installation.root / "theirs"
    root.mkdir()
    (root / "tasks.py").write_text("from archon_ops.cli import namespace\n")
    backups = root / "backups"
    backups.mkdir(mode=0o700)
    module_installation.root.chmod(0o755)
    root.chmod(0o755)
    try:
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY],
            cwd=root,
            env=module_installation.environment({"HOME": str(root)}),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    finally:
        module_installation.root.chmod(0o700)
    assert done.returncode == 3, done
    assert str(backups) in done.stderr
    assert "as user nobody" in done.stderr
    assert "hint: " in done.stderr
    assert list(backups.iterdir()) == []


@pytest.mark.slow
def test_nobody_else_may_read_what_is_written(empty_installation: Installation) -> None:
    before = os.umask(0o000)
    try:
        empty_installation.run("demo", "--size", "1MB").ok()
        empty_installation.run("verify", "latest", "--restore").ok()
        archive = empty_installation.root / "archive"
        empty_installation.run("backup").ok()
        empty_installation.run(
            "prune", "--archive-to", str(archive), "--older-than", "0h", "--yes"
        ).ok()
    finally:
        os.umask(before)
    folders = (empty_installation.root / ".archon", archive)
    written = [p for folder in folders for p in (folder, *folder.rglob("*"))]
    assert any(path.name == "RESTORE.txt" for path in written)
    assert any(path.name == "lock" for path in written)
    assert len(list(archive.glob("*.dump"))) == 1
    for path in written:
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_dir():
            assert mode == 0o700, (path, oct(mode))
        elif path.is_file():
            assert mode == 0o600, (path, oct(mode))


@pytest.mark.slow
def test_a_proof_elsewhere_makes_private_folders(installation: Installation) -> None:
    """Where there is no .archon yet, a sandbox makes it."""
    state = installation.root / ".archon"
    aside = installation.root / "aside"
    (state / "demo" / "backups").rename(aside)
    dump = next(aside.glob("*.dump"))
    with installation.server():
        pass
    installation.site().cluster.remove()
    subprocess.run(["rm", "-rf", str(state)], check=True)  # noqa: S607 - wherever it is
    before = os.umask(0o000)
    try:
        installation.run("verify", dump.name, "--restore", "--backup-dir", str(aside)).ok()
    finally:
        os.umask(before)
    for folder in (state, *(p for p in state.rglob("*") if p.is_dir())):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.slow
@pytest.mark.parametrize("how", ["empty", "gone"])
def test_a_database_that_is_no_archon_needs_consent(installation: Installation, how: str) -> None:
    tables = installation.psql(
        "SELECT string_agg(format('public.%I', relname), ', ') FROM pg_class"
        " WHERE relkind = 'r' AND relname LIKE 'archon\\_%'"
    )
    verb = "TRUNCATE" if how == "empty" else "DROP TABLE"
    installation.psql(f"{verb} {tables} CASCADE")
    before, content = installation.files(), installation.content()
    told = error_of(installation.run("backup"), 3)
    assert ("are empty" if how == "empty" else "no table archon_*") in told
    assert "--allow-empty" in told
    assert installation.files() == before
    assert installation.content() == content
    installation.run("backup", "--allow-empty").ok()
    installation.run("verify", "latest").ok()


@pytest.mark.slow
def test_a_database_without_any_table(installation: Installation) -> None:
    installation.psql("CREATE DATABASE bare TEMPLATE template0")
    installation.psql("DROP DATABASE postgres WITH (FORCE)", "template1")
    installation.psql("ALTER DATABASE bare RENAME TO postgres", "template1")
    installation.run("backup", "--allow-empty").ok()
    installation.run("restore", "latest", "--scope", "database", "--yes").ok()
