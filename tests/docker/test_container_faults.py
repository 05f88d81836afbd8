"""What may be wrong with an engine, a container or the database inside, and what is said of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from docker.models.containers import Container
from psycopg import sql

from archon_ops.errors import PreconditionError
from archon_ops.hosts.engine import Engine as OurEngine
from tests.docker.engine import Engine
from tests.docker.house import RESTORE, House, house
from tests.support import Installation, require, wait_until

pytestmark = pytest.mark.slow
NOBODY = 65534
DOCKER = "/var/run/docker.sock"


@pytest.fixture(scope="module")
def home(engine: Engine, pg17_image: str) -> Iterator[House]:
    """One database with 64 MB of /dev/shm, the engine's default; tests leave it usable."""
    with house(engine, pg17_image) as made:
        made.run("backup").ok()
        yield made


@pytest.fixture
def things(engine: Engine, service_image: str) -> Iterator[Callable[..., Container]]:
    """Makes small containers that are no database."""
    with contextlib.ExitStack() as made:

        def make(**options: Any) -> Container:
            container = engine.run(service_image, **options)
            made.callback(container.remove, force=True, v=True)
            return container

        yield make


def _configure(installation: Installation, container: str) -> None:
    text = f"[sources.archon]\ncontainer = '{container}'\n"
    (installation.root / "archon.toml").write_text(text)


def _refused(installation: Installation, *words: str, **env: str | None) -> None:
    """`inv backup` says it cannot begin, and says these words."""
    done = installation.run("backup", env={"ARCHON_SOURCE": None, **env}).ended(3)
    for word in words:
        assert word in done.stderr, done
    assert "Traceback" not in done.stderr
    assert list((installation.root / "backups").glob("*.dump")) == []


def test_no_engine_listens(empty_installation: Installation) -> None:
    dead = f"unix://{empty_installation.root}/dead.sock"
    _refused(empty_installation, "no Docker engine answers", "DOCKER_HOST", DOCKER_HOST=dead)


def test_the_socket_is_forbidden(empty_installation: Installation) -> None:
    program = shutil.which("setpriv")
    require(program, "the program setpriv")
    forbidden = empty_installation.root / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(forbidden))
        listener.listen()
        forbidden.chmod(0o600)
        os.chown(forbidden, NOBODY, NOBODY)
        done = subprocess.run(
            [
                str(program),
                "--bounding-set=-dac_override,-dac_read_search",  # so root may not either
                *(sys.executable, "-m", "invoke", "backup"),
            ],
            cwd=empty_installation.root,
            env=empty_installation.environment(
                {"ARCHON_SOURCE": None, "DOCKER_HOST": f"unix://{forbidden}"}
            ),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 3, done
    assert "Permission denied" in done.stderr


def test_the_container_is_missing(engine: Engine, empty_installation: Installation) -> None:
    _configure(empty_installation, "archon-rig-nobody")
    _refused(empty_installation, "archon-rig-nobody does not exist")


@pytest.mark.parametrize("name", ["$(id)", "a;id", "--help", 'a"b', "../x", ".*", "^"])
def test_names_of_containers_are_no_patterns(
    engine: Engine, empty_installation: Installation, name: str
) -> None:
    _configure(empty_installation, name)
    _refused(empty_installation, f"{name} does not exist")


def test_the_container_is_stopped(
    things: Callable[..., Container], empty_installation: Installation
) -> None:
    container = things()
    container.kill()
    _configure(empty_installation, str(container.name))
    _refused(empty_installation, f"{container.name} is exited", f"docker start {container.name}")


def test_two_containers_match(
    things: Callable[..., Container], empty_installation: Installation
) -> None:
    pair = [things(labels={"archon-rig-pair": "two"}) for _ in range(2)]
    _configure(empty_installation, "archon-rig-pair=two")
    _refused(empty_installation, "2 containers match", *(str(c.name) for c in pair))


def test_the_container_restarts_for_ever(
    things: Callable[..., Container], empty_installation: Installation
) -> None:
    container = things(entrypoint=["/bin/sh", "-c", "exit 1"], restart_policy={"Name": "always"})

    def often() -> bool:  # the engine waits twice as long each time: 13 s then, which is our time
        container.reload()
        return container.attrs["RestartCount"] >= 7 and container.status == "restarting"

    wait_until(often, 60, "the container has restarted often")
    _configure(empty_installation, str(container.name))
    _refused(empty_installation, "restarts again and again", f"docker logs {container.name}")


def test_no_database_in_the_container(
    things: Callable[..., Container], empty_installation: Installation
) -> None:
    container = things()
    _configure(empty_installation, str(container.name))
    _refused(empty_installation, f"no pg_dump in container {container.name}")


def _kill_and_start(home: House) -> None:
    home.database.container.kill()
    home.database.container.wait(timeout=30)


def test_the_container_is_killed_while_it_dumps(home: House) -> None:
    before, dumps = home.content(), home.dumps()
    home.database.psql("CREATE TABLE IF NOT EXISTS public.held (id integer)")
    spawned = home.spawn("backup", pause_at="backup.dump")
    with contextlib.suppress(psycopg.OperationalError), home.database.connect() as holder:
        spawned.wait_paused("backup.dump")
        holder.autocommit = False
        holder.execute("LOCK TABLE public.held IN ACCESS EXCLUSIVE MODE")
        spawned.go_on()
        waits = """SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                   AND application_name LIKE 'archon_ops:%' AND query LIKE 'LOCK TABLE%'"""
        wait_until(lambda: home.database.psql(waits, "template1") == "1", 60, "pg_dump waits")
        _kill_and_start(home)
    done = spawned.finish()
    home.database.container.start()
    home.database.wait_ready()
    assert done.returncode != 0, done
    assert "Traceback" not in done.stderr
    assert home.dumps() == dumps
    assert home.content() == before
    home.database.psql("DROP TABLE public.held")
    home.run("backup").ok()
    wait_until(lambda: home.sessions() == 0, 20, "no session bears our name")


def test_the_container_is_killed_while_it_restores(home: House) -> None:
    before = home.change()
    spawned = home.spawn(*RESTORE, pause_at="restore.data")
    spawned.wait_paused("restore.data")
    home.database.container.kill()  # at this very step: its copy of the dump lies inside
    spawned.go_on()
    done = spawned.finish()
    home.database.container.start()
    home.database.wait_ready()
    assert done.returncode != 0, done
    # A container of another test may have its address by then, where nothing is missing either.
    assert "postgres is whole" in done.stderr or "postgres is as it was" in done.stderr
    assert "Traceback" not in done.stderr
    assert home.content() == before
    home.run(*RESTORE).ok()
    assert home.content() != before
    assert [n for n in home.databases() if n.startswith("archon_side_")] == []
    assert home.copies() == ""


def test_little_shared_memory_loses_no_index(home: House) -> None:
    big = (
        "SET min_parallel_table_scan_size = 0; SET max_parallel_maintenance_workers = 4;"
        "SET maintenance_work_mem = '200MB'; SET min_parallel_index_scan_size = 0;"
    )
    with home.database.connect() as session:
        definition = session.execute(
            "SELECT indexdef FROM pg_indexes WHERE indexdef LIKE '%USING hnsw%' LIMIT 1"
        ).fetchone()
    for line in filter(None, big.split(";")):
        home.database.psql(line.strip().replace("SET ", "ALTER SYSTEM SET ", 1))
    home.database.psql("SELECT pg_reload_conf()")
    before = _indexes(home)
    assert any("hnsw" in line or "ivfflat" in line for line in before), definition
    try:
        home.run("backup").ok()
        home.run(*RESTORE).ok()
    finally:
        home.database.psql("ALTER SYSTEM RESET ALL")
        home.database.psql("SELECT pg_reload_conf()")
    assert _indexes(home) == before


def _indexes(home: House) -> list[str]:
    query = """SELECT indexdef, indisvalid FROM pg_indexes JOIN pg_index
               ON indexrelid = format('%I.%I', schemaname, indexname)::regclass ORDER BY 1"""
    return home.database.psql(query).splitlines()


def test_what_belongs_to_the_database_itself_stays(home: House) -> None:
    home.database.psql(
        "DROP ROLE IF EXISTS reader; CREATE ROLE reader;"
        "ALTER DATABASE postgres SET work_mem = '7MB';"
        "ALTER ROLE reader IN DATABASE postgres SET statement_timeout = '3s';"
        "REVOKE ALL ON DATABASE postgres FROM PUBLIC; GRANT CONNECT ON DATABASE postgres TO reader;"
        "ALTER DATABASE postgres CONNECTION LIMIT 77; COMMENT ON DATABASE postgres IS 'a \"b\" c'"
    )
    before = _attributes(home)
    home.run("backup").ok()
    home.run(*RESTORE).ok()
    assert _attributes(home) == before


def _attributes(home: House) -> str:
    query = """SELECT d.datdba::regrole, d.datacl, d.datconnlimit, d.datcollate, d.encoding,
                      shobj_description(d.oid, 'pg_database'),
                      (SELECT array_agg(s.setrole::regrole || ' ' || s.setconfig::text ORDER BY 1)
                       FROM pg_db_role_setting s WHERE s.setdatabase = d.oid)
               FROM pg_database d WHERE d.datname = 'postgres'"""
    return home.database.psql(query)


def test_a_newer_dump_names_both_versions(engine: Engine, pg15_image: str, home: House) -> None:
    with house(engine, pg15_image, vectors=False) as older:
        folder = older.installation.root / "from"
        shutil.copytree(home.installation.root / "backups", folder)
        before = older.content()
        dump = next(folder.glob("*.dump"))
        done = older.run("restore", str(dump), "--scope", "database", "--yes", "--trust")
        assert done.returncode not in (0, 1), done
        assert "17" in done.stderr
        assert "15" in done.stderr
        assert older.content() == before
        assert older.databases() == ["postgres"]


@pytest.mark.parametrize("name", ["a;id $(id) 'q' \"d\" \\ --help", "--help"])
def test_hostile_names_inside(home: House, name: str) -> None:
    table = "archon_\"; DROP TABLE x; --' $(touch /var/pwned) \\"
    with home.database.connect("template1") as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with home.database.connect(name) as connection:
        hostile = sql.Identifier(table)
        connection.execute("CREATE TABLE public.archon_sources (id integer PRIMARY KEY)")
        connection.execute("INSERT INTO public.archon_sources VALUES (1), (2)")
        connection.execute(sql.SQL("CREATE TABLE public.{} (id integer)").format(hostile))
        connection.execute(sql.SQL("INSERT INTO public.{} VALUES (7)").format(hostile))
    home.configure(database=name, backup_dir=f"backups-{len(name)}")
    try:
        home.run("backup").ok()
        with home.database.connect(name) as connection:
            connection.execute("DELETE FROM public.archon_sources")
        home.run(*RESTORE).ok()
        with home.database.connect(name) as connection:
            rows = connection.execute("SELECT count(*) FROM public.archon_sources").fetchall()
            there = connection.execute(
                sql.SQL("SELECT id FROM public.{}").format(hostile)
            ).fetchall()
        assert (rows, there) == ([(2,)], [(7,)])
        assert home.database.exec("test", "-e", "/var/pwned").returncode == 1
    finally:
        home.configure()


class _Proxy:
    """A socket that leads to the engine, every answer held for a while."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._seconds = seconds
        self._path = path
        self._listener = socket.create_server(str(path), family=socket.AF_UNIX)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._path.unlink()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine:
            engine.connect(DOCKER)
            back = threading.Thread(target=self._carry, args=(engine, client, self._seconds))
            back.start()
            self._carry(client, engine, 0)
            back.join()

    def _carry(self, source: socket.socket, to: socket.socket, seconds: float) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                time.sleep(seconds)
                to.sendall(data)
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def _slow_engine(folder: Path, seconds: float) -> Iterator[str]:
    proxy = _Proxy(folder / "slow.sock", seconds)
    try:
        yield f"unix://{folder / 'slow.sock'}"
    finally:
        proxy.close()


def test_an_engine_that_is_slow_is_waited_for(home: House) -> None:
    with _slow_engine(home.installation.root, 0.05) as host:
        home.run("backup", DOCKER_HOST=host).ok()


_PRINTS = """
import sys
from archon_ops.hosts.engine import Engine
print(Engine().run(sys.argv[1], ["printf", "all of it"], timeout=60).stdout)
"""


def test_what_comes_together_with_the_answers_header_is_read(home: House) -> None:
    """The proxy holds the header back until the program's output has come as well."""
    with _slow_engine(home.installation.root, 0.3) as host:
        done = subprocess.run(
            [sys.executable, "-c", _PRINTS, str(home.database.container.name)],
            env=home.installation.environment({"DOCKER_HOST": host}),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert (done.stdout, done.stderr) == ("all of it\n", "")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_engine_that_is_too_slow_is_given_up(
    engine: Engine, empty_installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _slow_engine(empty_installation.root, 5) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        with pytest.raises(PreconditionError, match="no Docker engine answers"):
            OurEngine(timeout=1).find("anything")
