from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

import archon_ops
from archon_ops.errors import LockedError, OpsError, PreconditionError
from archon_ops.hosts import process
from archon_ops.postgres import socket_folder
from archon_ops.postgres.cluster import Address, Cluster
from archon_ops.postgres.tools import wheel_tools
from tests.support import is_ours

# A command that uses the cluster until its standard input ends.
USER = """
import signal, sys
from pathlib import Path
from archon_ops.postgres.cluster import Cluster
from archon_ops.postgres.tools import wheel_tools
def leave(number, frame):
    raise SystemExit(128 + number)
signal.signal(signal.SIGTERM, leave)
cluster = Cluster(wheel_tools(), Path(sys.argv[1]), durable=False)
if sys.argv[2] == "create":
    cluster.create()
with cluster.running() as address:
    print(address.host, flush=True)
    sys.stdin.read()
"""
# Makes a socket folder and does not get to put anything into it.
KILLED_RIGHT_AFTER = """
import os, signal, sys
from pathlib import Path
from archon_ops.postgres import socket_folder
Path.symlink_to = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
with socket_folder.fresh(Path(sys.argv[1])):
    pass
"""
NOBODY = 65534
TMP = "/tmp"  # noqa: S108 - a socket needs a short path
PACKAGE_PARENT = Path(archon_ops.__file__).parent.parent


class User:
    """Another process that uses a cluster."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        what = "create" if create else "use"
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(folder), what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(PACKAGE_PARENT)},
            start_new_session=True,
            text=True,
        )

    def host(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, how: signal.Signals | None = None) -> tuple[int, str]:
        """Let it end, or end its whole process group with a signal."""
        if how is not None:
            os.killpg(self.process.pid, how)
        _, stderr = self.process.communicate(timeout=120)
        return self.process.returncode, stderr


@pytest.fixture(autouse=True)
def temporary(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A folder for socket folders: nothing may be left in it."""
    tmp_path_factory.getbasetemp()  # pytest's own folders stay where they are
    folder = Path(tempfile.mkdtemp(prefix="t-", dir=TMP))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    left = list(filter(is_ours, folder.iterdir()))
    shutil.rmtree(folder)
    assert left == []


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """initdb takes its time: tests that leave a cluster whole use this one in turn."""
    cluster = Cluster(wheel_tools(), tmp_path_factory.mktemp("shared") / "pg", durable=False)
    cluster.create()
    yield cluster
    cluster.remove()
    assert not cluster.folder.exists()


@pytest.fixture
def cluster(shared: Cluster) -> Iterator[Cluster]:
    yield shared
    pid = server_pid(shared)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
    assert pid is None, "the test left a server"


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster to be removed."""
    cluster = Cluster(wheel_tools(), tmp_path / "pg", durable=False)
    cluster.create()
    yield cluster
    cluster.remove()
    assert not cluster.folder.exists()


def server_pid(cluster: Cluster) -> int | None:
    try:
        return int((cluster.data_folder / "postmaster.pid").read_text().splitlines()[0])
    except FileNotFoundError:
        return None


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def eventually(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + 60
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def ask(address: Address, query: str) -> str:
    keywords = {"host": address.host, "port": address.port, "user": address.user}
    with psycopg.connect(**keywords, dbname="postgres", autocommit=True) as connection:  # type: ignore[arg-type]
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
    return str(row[0]) if row else ""


# --- one user ---


def test_create_and_run(tmp_path: Path) -> None:
    cluster = Cluster(wheel_tools(), tmp_path / "deep" / "er" / "pg")
    assert not cluster.exists()
    old = os.umask(0)
    try:
        cluster.create()
        cluster.create()
        assert cluster.exists()
        with cluster.running() as address:
            assert ask(address, "SHOW server_encoding") == "UTF8"
            assert ask(address, "SHOW TimeZone") == "UTC"
            assert ask(address, "SHOW listen_addresses") == ""
            assert ask(address, "SHOW fsync") == "on"
            assert ask(address, "SHOW data_checksums") == "on"
            assert ask(address, "SELECT datcollate FROM pg_database") in ("C.UTF-8", "C")
            assert ask(address, "SELECT current_user") == "postgres"
            modes = {p.name: p.stat().st_mode & 0o777 for p in cluster.folder.iterdir()}
            modes["home"] = Path(address.host).stat().st_mode & 0o777
            modes[".s.PGSQL.5432"] = (Path(address.host) / ".s.PGSQL.5432").stat().st_mode & 0o777
    finally:
        os.umask(old)
    secret = {"data": 0o700, "home": 0o700, ".s.PGSQL.5432": 0o700}
    assert modes == {name: secret.get(name, 0o600) for name in modes}
    assert (tmp_path / "deep").stat().st_mode & 0o777 == 0o700
    assert server_pid(cluster) is None
    cluster.remove()
    assert list((tmp_path / "deep" / "er").iterdir()) == []
    cluster.remove()


def test_settings_reach_the_server(cluster: Cluster) -> None:
    settings = {"work_mem": "7MB", "application_name": "it's one; two"}
    with Cluster(wheel_tools(), cluster.folder, settings=settings).running() as address:
        assert ask(address, "SHOW work_mem") == "7MB"
        shown = ask(address, "SELECT reset_val FROM pg_settings WHERE name = 'application_name'")
        assert shown == "it's one; two"


@pytest.mark.parametrize(
    "name",
    ["with space", "it's", 'a"b', "größe-日本", "$HOME `id` \\;*", "-D", "x" * 200],
    ids=["space", "quote", "double", "unicode", "shell", "option", "long"],
)
def test_any_path_will_do(cluster: Cluster, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    moved = Cluster(wheel_tools(), tmp_path / name / "pg", durable=False)
    cluster.folder.rename(moved.folder)
    try:
        with moved.running() as address:
            assert ask(address, "SELECT 1") == "1"
    finally:
        moved.folder.rename(cluster.folder)


def test_a_path_longer_than_postgresql_can_hold(tmp_path: Path) -> None:
    cluster = Cluster(wheel_tools(), tmp_path.joinpath(*["y" * 200] * 6), durable=False)
    assert len(str(cluster.folder)) > 1024
    cluster.create()
    with cluster.running() as address:
        assert ask(address, "SELECT 1") == "1"
    cluster.remove()


def test_an_unsuitable_tmpdir_is_not_used(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a,b", "z" * 100):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
        with cluster.running() as address:
            assert ask(address, "SELECT 1") == "1"
            assert address.host.startswith(f"{TMP}/archon-pg-")
        assert not Path(address.host).exists()


def test_blocks_nest(cluster: Cluster) -> None:
    with cluster.running() as outer:
        pid = server_pid(cluster)
        with cluster.running() as inner, Cluster(wheel_tools(), cluster.folder).running() as third:
            assert outer == inner == third
        assert ask(outer, "SELECT 1") == "1"
        assert server_pid(cluster) == pid
    assert server_pid(cluster) is None


def test_threads_share(cluster: Cluster) -> None:
    pids: list[str] = []

    def use() -> None:
        with cluster.running() as address:
            pids.append(ask(address, "SELECT pg_postmaster_start_time()"))
            barrier.wait(120)

    barrier = threading.Barrier(6)
    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert len(pids) == 6
    assert len(set(pids)) == 1
    assert server_pid(cluster) is None


def test_an_error_in_the_block_stops_the_server(cluster: Cluster) -> None:
    with pytest.raises(KeyboardInterrupt), cluster.running():
        raise KeyboardInterrupt
    assert server_pid(cluster) is None


def test_the_server_has_nothing_of_ours(cluster: Cluster, tmp_path: Path) -> None:
    with (tmp_path / "ours").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)
        with cluster.running():
            pid = server_pid(cluster)
            assert pid is not None
            files = {link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()}
            assert tmp_path / "ours" not in files
            assert cluster.folder / "server.lock" in files
            assert os.getsid(pid) == pid
            assert os.getsid(pid) != os.getsid(0)


# --- several processes ---


def test_the_last_of_several_stops_it(cluster: Cluster) -> None:
    first = User(cluster.folder)
    host = first.host()
    second = User(cluster.folder)
    assert second.host() == host
    pid = server_pid(cluster)
    assert pid is not None
    assert first.end() == (0, "")
    assert lives(pid)
    with cluster.running() as address:
        assert address.host == host
        assert second.end() == (0, "")
        assert ask(address, "SELECT 1") == "1"
    assert not lives(pid)
    assert not Path(host).exists()


def test_four_that_start_at_once(tmp_path: Path) -> None:
    cluster = Cluster(wheel_tools(), tmp_path / "pg")
    users = [User(cluster.folder, create=True) for _ in range(4)]
    hosts = {user.host() for user in users}
    assert len(hosts) == 1
    assert hosts != {""}
    assert [user.end() for user in users] == [(0, "")] * 4
    assert server_pid(cluster) is None
    cluster.remove()


def test_a_server_left_by_a_killed_user_is_adopted(cluster: Cluster) -> None:
    user = User(cluster.folder)
    host = user.host()
    pid = server_pid(cluster)
    assert pid is not None
    assert user.end(signal.SIGKILL)[0] == -signal.SIGKILL
    assert lives(pid)
    with cluster.running() as address:
        assert address.host == host
        assert server_pid(cluster) == pid
    assert not lives(pid)


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1])
def test_a_user_killed_while_it_starts_the_server(cluster: Cluster, delay: float) -> None:
    user = User(cluster.folder)
    assert eventually((cluster.folder / "socket").exists)
    time.sleep(delay)
    user.end(signal.SIGKILL)
    with cluster.running() as address:
        assert ask(address, "SELECT 1") == "1"
    assert server_pid(cluster) is None


@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, -signal.SIGINT)]
)
def test_a_signalled_user_stops_it_in_order(
    cluster: Cluster, how: signal.Signals, code: int
) -> None:
    user = User(cluster.folder)
    host = user.host()
    pid = server_pid(cluster)
    assert pid is not None
    assert user.end(how)[0] == code
    assert not lives(pid)
    assert not Path(host).exists()
    assert "database system is shut down" in cluster.log.read_text()


def test_ctrl_c_on_one_user_leaves_the_server_to_the_other(cluster: Cluster) -> None:
    first = User(cluster.folder)
    first.host()
    with cluster.running() as address:
        first.end(signal.SIGINT)
        assert ask(address, "SELECT 1") == "1"


# --- what crashes leave ---


def test_a_stale_pid_file_that_names_a_living_process(cluster: Cluster) -> None:
    with process.spawn(["sleep", "60"]) as other:
        lines = [str(other.pid), "/nowhere", "1", "5432", TMP, "", "  1 1", "ready"]
        (cluster.data_folder / "postmaster.pid").write_text("\n".join(lines))
        with cluster.running() as address:
            assert ask(address, "SELECT 1") == "1"
        assert other.running()


def test_after_a_crash_it_recovers_and_the_old_socket_folder_goes(cluster: Cluster) -> None:
    with cluster.running() as address:
        ask(address, "CREATE TABLE kept AS SELECT 42 AS n")
        pid = server_pid(cluster)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with cluster.running() as again:
            assert ask(again, "SELECT n FROM kept") == "42"
            assert server_pid(cluster) != pid
            assert not Path(address.host).exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("delay", "alone"), [(0.02, False), (0.2, False), (0.6, False), (0.1, True), (0.4, True)]
)
def test_create_killed_midway(tmp_path: Path, delay: float, alone: bool) -> None:
    cluster = Cluster(wheel_tools(), tmp_path / "pg", durable=False)
    user = User(cluster.folder, create=True)
    assert eventually((cluster.folder / "gate.lock").exists)
    time.sleep(delay)
    user.process.kill() if alone else os.killpg(user.process.pid, signal.SIGKILL)
    cluster.create()  # an initdb that was not killed may still be at work
    user.end()
    assert not list(cluster.folder.glob("new-*"))
    with cluster.running() as address:
        assert ask(address, "SELECT 1") == "1"
    cluster.remove()
    assert not cluster.folder.exists()


def test_remove_killed_midway(doomed: Cluster) -> None:
    (doomed.folder / "old-x").mkdir()
    doomed.data_folder.replace(doomed.folder / "old-x")
    assert not doomed.exists()
    doomed.create()
    assert sorted(p.name for p in doomed.folder.iterdir() if p.is_dir()) == ["data"]


def test_a_copy_of_a_running_cluster_leaves_the_original_alone(
    cluster: Cluster, tmp_path: Path
) -> None:
    with cluster.running() as address:
        ask(address, "CHECKPOINT")
        process.run(["cp", "-a", str(cluster.folder), str(tmp_path / "copy")], timeout=120)
        copy = Cluster(wheel_tools(), tmp_path / "copy", durable=False)
        with copy.running() as other:
            assert other.host != address.host
            assert ask(other, "SELECT 1") == ask(address, "SELECT 1") == "1"
        assert ask(address, "SELECT 1") == "1"
        copy.remove()
        assert ask(address, "SELECT 1") == "1"


def test_a_socket_folder_is_known_before_it_is_there(tmp_path: Path, temporary: Path) -> None:
    """Whoever is killed right after it was made leaves one that the next user removes."""
    argv = [sys.executable, "-c", KILLED_RIGHT_AFTER, str(tmp_path)]
    killed = subprocess.run(argv, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert list(temporary.glob("archon-pg-*")) != []
    socket_folder.sweep(tmp_path)


def test_a_deleted_socket_is_replaced(cluster: Cluster) -> None:
    user = User(cluster.folder)
    host = user.host()
    user.end(signal.SIGKILL)
    shutil.rmtree(host)
    with cluster.running() as address:
        assert address.host != host
        assert ask(address, "SELECT 1") == "1"


# --- refusals ---


def test_remove_refuses_while_it_is_used(cluster: Cluster) -> None:
    with cluster.running() as address:
        with pytest.raises(LockedError, match="in use"):
            cluster.remove()
        assert ask(address, "SELECT 1") == "1"


def test_remove_ends_a_server_without_users(doomed: Cluster) -> None:
    user = User(doomed.folder)
    host = user.host()
    pid = server_pid(doomed)
    user.end(signal.SIGKILL)
    (doomed.folder / "note").write_text("mine")
    doomed.remove()
    assert pid is not None
    assert not lives(pid)
    assert not Path(host).exists()
    assert [path.name for path in doomed.folder.iterdir()] == ["note"], "not ours to delete"
    (doomed.folder / "note").unlink()


def test_a_start_that_fails_says_why(cluster: Cluster) -> None:
    broken = Cluster(wheel_tools(), cluster.folder, settings={"shared_buffers": "plenty"})
    with pytest.raises(OpsError, match="shared_buffers") as caught, broken.running():
        pytest.fail("it cannot run")
    assert "server.log" in caught.value.hint


@pytest.mark.slow
def test_a_frozen_server_is_given_up_in_time(cluster: Cluster) -> None:
    user = User(cluster.folder)
    user.host()
    pid = server_pid(cluster)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    hasty = Cluster(wheel_tools(), cluster.folder, deadline=1)
    try:
        with pytest.raises(OpsError, match="does not answer"), hasty.running():
            pytest.fail("it cannot answer")
    finally:
        os.kill(pid, signal.SIGCONT)
    user.end()
    assert not lives(pid)


def test_an_open_socket_folder_is_refused(cluster: Cluster) -> None:
    with cluster.running() as address:
        Path(address.host).chmod(0o777)
        with pytest.raises(PreconditionError, match="not ours alone"), cluster.running():
            pytest.fail("somebody else may listen there")
        Path(address.host).chmod(0o700)


def test_a_server_started_by_hand_is_left_alone(cluster: Cluster, temporary: Path) -> None:
    argv = cluster.tools.server_argv(
        "postgres", "-D", str(cluster.data_folder), "-k", str(temporary), "--listen_addresses="
    )
    with process.spawn(argv) as stranger:
        assert eventually((temporary / ".s.PGSQL.5432").exists)
        with pytest.raises(PreconditionError, match=str(stranger.pid)), cluster.running():
            pytest.fail("two servers on one data directory")
        with pytest.raises(PreconditionError, match=str(stranger.pid)):
            cluster.remove()
        assert stranger.running()
        assert cluster.exists()


def test_what_is_not_there_cannot_run(tmp_path: Path) -> None:
    cluster = Cluster(wheel_tools(), tmp_path / "none")
    with pytest.raises(PreconditionError, match="no PostgreSQL cluster"), cluster.running():
        pytest.fail("there is nothing to run")
    assert not cluster.folder.exists()


def test_another_major_is_refused(cluster: Cluster) -> None:
    version = cluster.data_folder / "PG_VERSION"
    right = version.read_text()
    version.write_text("14\n")
    with pytest.raises(PreconditionError, match="of PostgreSQL 14"), cluster.running():
        pytest.fail("18 cannot read 14")
    version.write_text(right)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PreconditionError, match="file"):
        Cluster(wheel_tools(), tmp_path / "file" / "pg").create()


# --- root, and everybody else ---

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@root_only
def test_another_users_cluster_is_refused(cluster: Cluster) -> None:
    os.chown(cluster.data_folder, NOBODY, NOBODY)
    with pytest.raises(PreconditionError, match="belongs to user"), cluster.running():
        pytest.fail("PostgreSQL would refuse it, too")
    os.chown(cluster.data_folder, 0, 0)


@pytest.mark.slow
@root_only
def test_an_ordinary_user_has_clusters_of_his_own(temporary: Path, cluster: Cluster) -> None:
    with his_program(temporary) as (program, home, env):
        script = home / "use.py"
        script.write_text(USER)
        done = process.run(
            [*program, str(script), str(home / "pg"), "create"], timeout=240, env=env
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{TMP}/archon-pg-")
        assert (home / "pg").stat().st_uid == NOBODY
        assert "database system is shut down" in (home / "pg" / "server.log").read_text()
        with (
            pytest.raises(PreconditionError, match="belongs to user"),
            Cluster(wheel_tools(), home / "pg").running(),
        ):
            pytest.fail("the cluster is another user's")
        done = process.run(
            [*program, str(script), str(cluster.folder), "use"], timeout=240, env=env
        )
        assert done.returncode == 1
        assert "cannot work in" in done.stderr


@contextlib.contextmanager
def his_program(temporary: Path) -> Iterator[tuple[list[str], Path, dict[str, str]]]:
    """Python as an ordinary user, a home of his, and the environment that finds our code."""
    home = Path(tempfile.mkdtemp(prefix="home-", dir=TMP))
    try:
        temporary.chmod(0o755)
        ids = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        program = ["setpriv", *ids, "--", sys.executable]
        env = {"PYTHONPATH": str(_copies(home / "lib")), "TMPDIR": TMP, "HOME": str(home)}
        os.chown(home, NOBODY, NOBODY)
        # Ours may lie where only root may go.
        pythons = [sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin")]
        what = "import subprocess, sys; import archon_ops.postgres.cluster; "
        what += "subprocess.run([sys.executable, '-c', ''], check=True)"
        for python in filter(None, pythons):
            program[-1] = python
            if process.run([*program, "-c", what], timeout=120, env=env).returncode == 0:
                break
        else:
            pytest.skip(f"no Python 3.11 that an ordinary user can run, tried {pythons}")
        yield program, home, env
    finally:
        shutil.rmtree(home)


def _copies(folder: Path) -> Path:
    wheel = wheel_tools().folder.parent.parent
    folder.mkdir()
    for source in (wheel, wheel.with_name(f"{wheel.name}.libs"), PACKAGE_PARENT / "archon_ops"):
        if source.exists():
            shutil.copytree(source, folder / source.name)
    return folder
