"""pg_restore killed, signals sent, disks full, while a restore runs: production as it was."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.disks import fill, small_disk
from tests.support import Completed, Installation, Spawned, wait_until

RESTORE = ("restore", "latest", "--scope", "database", "--yes")
DATA = "LOCK TABLE public.archon_tasks IN ACCESS EXCLUSIVE MODE"
INDEX = "LOCK TABLE public.archon_crawled_pages IN ROW EXCLUSIVE MODE"

pytestmark = pytest.mark.slow


def lines(done: Completed) -> list[str]:
    """What an operator reads at the end: the error, and what to type next."""
    return done.stderr[done.stderr.index("error:") :].splitlines()


def side(installation: Installation) -> str:
    """Name of the database that is being built."""
    return next(name for name in installation.databases() if name.startswith("archon_side_"))


def assert_untouched(installation: Installation, before: object, files: object) -> None:
    """Production and backups as they were, nothing beside, and the next run works."""
    assert installation.content() == before
    assert installation.databases() == ("postgres",)
    assert backups(installation) == files
    installation.run(*RESTORE).ok()


def backups(installation: Installation) -> dict[str, bytes]:
    """The backup directory without what later looks add, and without safety backups."""
    files = installation.files().items()
    return {k: v for k, v in files if not k.endswith(".verify.json") and "safety/" not in k}


@contextlib.contextmanager
def held_at(installation: Installation, phase: str, lock: str, waits: str) -> Iterator[Spawned]:
    """A restore whose pg_restore waits for a lock of ours, in the middle of a statement."""
    spawned = installation.spawn(*RESTORE, pause_at=phase)
    spawned.wait_paused(phase)
    with (
        installation.server() as server,
        contextlib.suppress(psycopg.OperationalError),  # the restore drops the database under us
        psycopg.connect(**server.conninfo(side(installation))) as session,
    ):
        session.execute(lock.encode())
        spawned.go_on()
        query = f"""SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                    AND datname LIKE 'archon_side_%' AND query ILIKE '%{waits}%'"""
        wait_until(lambda: installation.psql(query) != "0", 30, f"pg_restore waits in {waits}")
        yield spawned


def tools_of(installation: Installation) -> list[int]:
    """The running pg_restore and its workers, the leader first."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"pg_restore") and str(installation.backups).encode() in b" ".join(
                words
            ):
                parents[int(folder.name)] = int(
                    (folder / "stat").read_text().split(")")[1].split()[1]
                )
    # By whose child it is: process ids begin anew at some time.
    return sorted(parents, key=lambda pid: parents[pid] in parents)


@pytest.mark.parametrize("who", ["the leader", "a worker"])
@pytest.mark.parametrize(
    ("phase", "lock", "waits"),
    [
        ("restore.data", DATA, "archon_tasks"),
        ("restore.post-data", INDEX, "INDEX"),
    ],
    ids=["in a COPY", "in an index"],
)
def test_pg_restore_is_killed(
    installation: Installation, phase: str, lock: str, waits: str, who: str
) -> None:
    before, files = installation.content(), backups(installation)
    with held_at(installation, phase, lock, waits) as spawned:
        leader, *workers = tools_of(installation)
        os.kill(leader if who == "the leader" else workers[-1], signal.SIGKILL)
        done = spawned.finish().ended(1)
    assert phase.removeprefix("restore.") in done.stderr
    assert "postgres is as it was" in " ".join(lines(done))
    assert len(lines(done)) <= 3, done
    assert_untouched(installation, before, files)


@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)]
)
def test_a_signal_in_the_middle_of_a_copy(
    installation: Installation, how: signal.Signals, code: int
) -> None:
    before, files = installation.content(), backups(installation)
    with held_at(installation, "restore.data", DATA, "archon_tasks") as spawned:
        spawned.send(how)
        done = spawned.finish().ended(code)
        # While the lock is still held: they were cancelled there, and not just let go afterwards.
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'archon_ops:%'"
        ours = f"{query} AND pid <> pg_backend_pid()"
        wait_until(lambda: installation.psql(ours) == "0", 20, "no session left")
    assert "postgres is as it was" in done.stderr
    assert tools_of(installation) == []
    assert_untouched(installation, before, files)


def test_a_signal_tells_that_the_switch_is_done(installation: Installation) -> None:
    backup = installation.content()
    installation.psql("DELETE FROM public.archon_tasks")
    spawned = installation.spawn(*RESTORE, pause_at="restore.switched")
    spawned.wait_paused("restore.switched")
    spawned.send(signal.SIGTERM)
    done = spawned.finish().ended(143)
    assert "postgres is the new database already; inv undo brings" in done.stderr
    assert installation.content() == backup


def test_a_signal_while_an_undo_switches(installation: Installation) -> None:
    installation.run(*RESTORE).ok()
    spawned = installation.spawn("undo", "--yes", pause_at="undo.switch")
    spawned.wait_paused("undo.switch")
    spawned.send(signal.SIGINT)
    assert "postgres is as it was" in spawned.finish().ended(130).stderr
    installation.run("undo", "--yes").ok()


# --- disks ------------------------------------------------------------------------------------


def room_for_wal(installation: Installation) -> None:
    """Begin a new segment of WAL: where the disk is full, it is rows that find no room."""
    installation.psql("SELECT pg_switch_wal()")
    installation.psql("SELECT pg_logical_emit_message(true, '', '')")


def test_the_servers_disk_is_full(installation: Installation) -> None:
    before, files = installation.content(), backups(installation)
    cluster = installation.site().cluster.folder
    with small_disk(cluster, 250):
        spawned = installation.spawn(*RESTORE, pause_at="restore.data")
        spawned.wait_paused("restore.data")
        room_for_wal(installation)
        filler = fill(cluster, but=1 << 20)
        spawned.go_on()
        done = spawned.finish().ended(3)
        assert "disk is full" in done.stderr
        assert "postgres is as it was" in done.stderr
        assert len(lines(done)) <= 3, done
        assert installation.content() == before
        assert installation.databases() == ("postgres",)
        filler.unlink()
        assert_untouched(installation, before, files)
        installation.site().cluster.remove()


def test_a_disk_that_is_too_small_is_found_beforehand(installation: Installation) -> None:
    before = installation.content()
    cluster = installation.site().cluster.folder
    with small_disk(cluster, 250):
        filler = fill(cluster, but=20 << 20)
        done = installation.run(*RESTORE).ended(3)
        assert "not enough room" in done.stderr
        assert "needed" in done.stderr
        assert "undo --finalize" in lines(done)[-1]
        assert installation.content() == before
        filler.unlink()
        installation.site().cluster.remove()


def test_a_full_disk_under_a_sandbox_says_nothing_against_the_backup(
    installation: Installation,
) -> None:
    sandboxes = installation.root / ".archon" / "sandboxes"
    with small_disk(sandboxes, 64):
        spawned = installation.spawn("verify", "latest", "--restore", pause_at="verify.sandbox")
        spawned.wait_paused("verify.sandbox")
        fill(sandboxes, but=1 << 20)
        spawned.go_on()
        done = spawned.finish()
        assert done.returncode in (1, 3), done
        assert len(lines(done)) <= 3, done
        (sandboxes / "filler").unlink()
        assert [p.name for p in sandboxes.iterdir() if p.is_dir()] == []
    (entry,) = installation.run("backups", "--json").json["backups"]
    assert entry["trust"] == "checked"
    installation.run("verify", "latest", "--restore").ok()


def test_a_sandbox_whose_disk_fills_while_it_restores(installation: Installation) -> None:
    sandboxes = installation.root / ".archon" / "sandboxes"

    def ready() -> bool:
        files = sandboxes.glob("archon_sandbox-*/cluster/data/postmaster.pid")
        return any("ready" in file.read_text() for file in files)

    with small_disk(sandboxes, 100):
        spawned = installation.spawn("verify", "latest", "--restore")
        wait_until(ready, 60, "the sandbox's server is ready")
        spawned.send(signal.SIGSTOP)  # however long it takes us to fill the disk
        fill(sandboxes, but=1 << 20)
        spawned.send(signal.SIGCONT)
        done = spawned.finish().ended(3)
        assert "disk is full" in done.stderr
        assert [p.name for p in sandboxes.iterdir() if p.is_dir()] == []
    (entry,) = installation.run("backups", "--json").json["backups"]
    assert entry["trust"] == "checked"


def test_a_sandbox_that_a_killed_run_left_is_swept(installation: Installation) -> None:
    sandboxes = installation.root / ".archon" / "sandboxes"
    spawned = installation.spawn("verify", "latest", "--restore", pause_at="verify.proof")
    spawned.wait_paused("verify.proof")
    (left,) = sandboxes.glob("archon_sandbox-*")
    server = int((left / "cluster" / "data" / "postmaster.pid").read_text().split()[0])
    elsewhere = ("backup", "--backup-dir", str(installation.root / "elsewhere"))
    other = installation.run(*elsewhere).ok()
    assert left.exists(), f"another run swept a sandbox in use: {other}"
    spawned.kill()
    assert Path(f"/proc/{server}").exists()
    done = installation.run("backup").ok()
    assert f"removed what a killed run left: sandbox {left.name}" in done.stderr
    assert not left.exists()
    wait_until(lambda: not Path(f"/proc/{server}").exists(), 20, "the sandbox's server ended")
