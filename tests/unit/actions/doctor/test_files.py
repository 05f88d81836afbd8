from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archon_ops.actions.doctor import backups, cron, directory, environment
from archon_ops.model.catalog import Catalog
from archon_ops.model.diagnosis import Finding, Status
from archon_ops.model.health import Health, Level
from archon_ops.model.runs import Result, RunRecord
from archon_ops.storage.directory import Directory

INV = " --source demo"
NOW = datetime(2025, 12, 17, 10, tzinfo=UTC)
GIT = ("git", "-c", "user.name=x", "-c", "user.email=x@example.org")


def _record(result: Result, minute: int = 0, action: str = "backup") -> RunRecord:
    at = NOW + timedelta(minutes=minute)
    reason = "" if result is Result.DONE else "the disk is full"
    return RunRecord(f"{at:%Y%m%dT%H%M%SZ}-1f3a", action, "demo", at, 7, "h", at, result, 0, reason)


# --- the directory ------------------------------------------------------------------------


def _answers(path: Path, expected: int | None = 10) -> dict[str, Finding]:
    facts = directory.gather(Directory(path), expected)
    return {finding.check: finding for finding in directory.judge(facts, INV)}


def test_a_directory_that_can_be_made_is_only_a_note(tmp_path: Path) -> None:
    finding = _answers(tmp_path / "backups")["directory"]
    assert (finding.status, finding.mend) == (Status.NOTE, "inv doctor --fix --source demo")


def test_a_directory_whose_parent_is_missing_blocks_a_backup(tmp_path: Path) -> None:
    finding = _answers(tmp_path / "disk" / "backups")["directory"]
    assert finding.blocks_backup
    assert f"mkdir -p {tmp_path / 'disk'}" in finding.mend


def test_a_parent_that_a_backup_makes_itself_blocks_none(tmp_path: Path) -> None:
    ours = Directory(tmp_path / "backups" / "staging", parent_is_ours=True)
    answers = list(directory.judge(directory.gather(ours, 10), INV))
    assert [finding.status for finding in answers] == [Status.NOTE]
    ours.prepare()
    assert [folder.stat().st_mode & 0o777 for folder in (ours.path.parent, ours.path)] == [
        0o700
    ] * 2


def test_what_is_no_folder_blocks_a_backup(tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("x")
    assert _answers(tmp_path / "backups")["directory"].blocks_backup


def test_a_good_directory_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    answers = _answers(tmp_path)
    assert {f.status for f in answers.values()} == {Status.OK}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("expected", "status", "blocks"),
    [(10, Status.OK, False), (None, Status.UNKNOWN, False), (1 << 60, Status.PROBLEM, True)],
)
def test_room_for_ten_backups(
    tmp_path: Path, expected: int | None, status: Status, blocks: bool
) -> None:
    finding = _answers(tmp_path, expected)["disk"]
    assert (finding.status, finding.blocks_backup) == (status, blocks)


def test_less_than_ten_backups_is_a_warning() -> None:
    facts = directory.FolderFacts(Path("/b"), True, True, free=99, expected=10)
    assert directory.room(facts, INV).status is Status.WARNING


def test_only_what_is_ours_is_closed_to_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    ours = "archon_postgres-20251217_100000"
    (tmp_path / ".ops").mkdir(mode=0o700)
    for name in (
        f"{ours}.dump",
        f"{ours}.json",
        "RESTORE.txt",
        ".ops/lock",
        "theirs.dump",
        "a.txt",
    ):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o644)
    (tmp_path / "link.dump").symlink_to(tmp_path / "a.txt")
    found = {str(path.relative_to(tmp_path)) for path, _ in directory.too_open(Directory(tmp_path))}
    assert found == {".", f"{ours}.dump", f"{ours}.json", "RESTORE.txt", ".ops/lock"}
    assert _answers(tmp_path)["directory.modes"].mend == "inv doctor --fix --source demo"


def test_closing_follows_no_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("x")
    (tmp_path / "target").chmod(0o644)
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(OSError, match="symbolic link"):
        directory.close(tmp_path / "link")
    (tmp_path / "folder").mkdir(mode=0o755)
    (tmp_path / "other").symlink_to("folder")
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        directory.close(tmp_path / "other")
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o755
    directory.close(tmp_path / "target")
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o600


# --- backups and runs ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "status"),
    [
        (Level.HEALTHY, Status.OK),
        (Level.AGING, Status.WARNING),
        (Level.OUTDATED, Status.PROBLEM),
        (Level.CRITICAL, Status.PROBLEM),
        (Level.MISSING, Status.PROBLEM),
    ],
)
def test_old_backups_keep_no_backup_from_running(level: Level, status: Status) -> None:
    finding = backups.health(Health(level, "Backup is old", 1.0), INV)
    assert finding.status is status
    assert not finding.blocks_backup


def test_a_failed_backup_is_a_problem_until_one_succeeds() -> None:
    failed, done = _record(Result.FAILED, 1), _record(Result.DONE, 2)
    finding = backups.last_run((failed,), INV)
    assert finding.status is Status.PROBLEM
    assert "the disk is full" in finding.found
    assert backups.last_run((failed, done), INV).status is Status.OK
    assert backups.last_run((), INV).status is Status.OK


def test_runs_that_vanished_are_noted() -> None:
    assert backups.killed((_record(Result.KILLED),), INV).status is Status.NOTE
    assert backups.killed((_record(Result.DONE),), INV).status is Status.OK


def test_what_is_kept_beyond_its_time() -> None:
    assert backups.judge_kept("k", "1 MB", timedelta(hours=1), INV).status is Status.OK
    late = backups.judge_kept("k", "1 MB", timedelta(hours=-1), INV)
    assert late.mend == "inv undo --finalize --source demo"


def test_no_backup_is_no_reason_to_speak_of_its_size() -> None:
    assert backups.size(Catalog(()), 10, INV).status is Status.OK
    assert backups.trust(Catalog(()), INV).status is Status.UNKNOWN


# --- .env ---------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    subprocess.run([*GIT, "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".env").write_text("ENCRYPTION_KEY=canary\nPORT=1\n")
    (tmp_path / ".env").chmod(0o600)
    (tmp_path / ".env.example").write_text("ENCRYPTION_KEY=\nPORT=\n")
    (tmp_path / ".gitignore").write_text(".env\n")
    return tmp_path


def _env(home: Path) -> dict[str, Finding]:
    return {f.check: f for f in environment.judge(environment.gather(home))}


def test_a_good_home_has_nothing_to_mend(home: Path) -> None:
    assert {f.status for f in _env(home).values()} == {Status.OK}


def test_an_env_that_git_does_not_ignore(home: Path) -> None:
    (home / ".gitignore").unlink()
    finding = _env(home)["env.ignored"]
    assert finding.status is Status.WARNING
    assert finding.mend == f"echo .env >> {home / '.gitignore'}"


def test_an_env_in_git_is_a_problem_though_it_is_ignored(home: Path) -> None:
    subprocess.run([*GIT, "-C", str(home), "add", "--force", ".env"], check=True)
    finding = _env(home)["env.ignored"]
    assert finding.status is Status.PROBLEM
    assert "rm --cached .env" in finding.mend


def test_a_home_without_git(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\n")
    assert _env(tmp_path)["env.ignored"].status is Status.OK


def test_names_that_the_example_lacks_are_told_and_no_value(home: Path) -> None:
    (home / ".env.example").write_text("PORT=\n")
    finding = _env(home)["env.example"]
    assert finding.found == "not in .env.example: ENCRYPTION_KEY"
    assert "canary" not in repr(_env(home))
    (home / ".env.example").unlink()
    assert _env(home)["env.example"].status is Status.WARNING


def test_an_env_that_others_can_read(home: Path) -> None:
    (home / ".env").chmod(0o644)
    assert _env(home)["env.mode"].mend == f"chmod 600 {home / '.env'}"


def test_git_that_is_missing_is_an_answer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    assert _env(home)["env.ignored"].status is Status.UNKNOWN
    assert environment.version_controlled(home) is None


def test_a_compose_file_in_git(home: Path) -> None:
    assert environment.version_controlled(home) is False
    (home / "docker-compose.yml").write_text("services: {}\n")
    subprocess.run([*GIT, "-C", str(home), "add", "docker-compose.yml"], check=True)
    assert environment.version_controlled(home) is True


# --- what runs by itself ------------------------------------------------------------------


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "cron.d").mkdir()
    (tmp_path / "cron.daily").mkdir()
    (tmp_path / "crontab").write_text("# 0 2 * * * /x/backup-archon.sh\n17 * * * * root true\n")
    return tmp_path


def _old(etc: Path) -> Finding:
    return cron.judge(cron.gather(etc), Path("/srv/a b"), INV)


def test_a_line_that_is_commented_out_calls_nothing(etc: Path) -> None:
    assert _old(etc).status is Status.OK


@pytest.mark.parametrize("place", ["crontab", "cron.d/archon", "cron.daily/archon"])
def test_a_line_that_calls_the_former_script_is_found(etc: Path, place: str) -> None:
    with (etc / place).open("a") as file:
        file.write("0 2 * * * PASSWORD=canary /x/scripts/backup-archon.sh --retention 4\n")
    finding = _old(etc)
    assert finding.status is Status.WARNING
    assert str(etc / place) in finding.found
    assert "canary" not in repr(finding)
    assert "cd '/srv/a b' && inv schedule.install" in finding.mend


def test_a_backup_of_ours_that_runs_by_itself(etc: Path) -> None:
    assert cron.schedules_backup(cron.gather(etc)) == ""
    (etc / "cron.d" / "archon").write_text("0 2 * * * root cd /x && inv backup --quiet\n")
    assert cron.schedules_backup(cron.gather(etc)) == f"{etc / 'cron.d' / 'archon'}:1"


def test_what_we_installed_ourselves_is_found_in_a_folder_with_a_space_too(etc: Path) -> None:
    (etc / "cron.d" / "archon").write_text(
        "0 2 * * * root cd '/a b' && '/a b/.venv/bin/archon-ops' schedule.run backup --source x\n"
    )
    assert cron.schedules_backup(cron.gather(etc)) == f"{etc / 'cron.d' / 'archon'}:1"


def test_what_cannot_be_read_is_left_out(etc: Path) -> None:
    os.mkfifo(etc / "cron.d" / "pipe")
    assert cron.gather(etc / "nowhere") == ()
    assert _old(etc).status is Status.OK
