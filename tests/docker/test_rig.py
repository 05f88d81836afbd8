"""The rig is what it says it is: otherwise no test that builds on it proves anything."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable

import docker.errors
import psycopg
import pytest

from tests.docker import services
from tests.docker.database import Database
from tests.docker.engine import LABEL, Engine
from tests.support import CHECKOUT, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("names")]

IMAGES = pytest.mark.parametrize("image", ["pg17_image", "pg18_image"])


@pytest.fixture
def image_of(request: pytest.FixtureRequest) -> Callable[[str], str]:
    return request.getfixturevalue


@IMAGES
def test_a_database_container_is_as_an_official_one(
    image: str, image_of: Callable[[str], str], database_container: Callable[..., Database]
) -> None:
    database = database_container(image_of(image), env={"POSTGRES_DB": "archon"}, publish=True)

    assert database.address[0] == "127.0.0.1"
    assert database.psql("SELECT current_database()") == "archon"
    assert database.psql("SHOW server_version_num").startswith(image[2:4])
    assert not database.container.attrs["HostConfig"].get("Init")
    assert database.exec("cat", "/proc/1/comm").stdout.strip() == "postgres"
    assert database.exec("head", "-n1", "/var/lib/postgresql/data/postmaster.pid").stdout == "1\n"
    assert database.exec("id", "-un").stdout.strip() == "root"  # what an exec is, unless told
    # One start for the temporary server, one for the one that stays; no crash in between.
    assert database.log().count("database system is ready to accept connections") == 2
    assert database.crashes() == []
    assert database.psql("SELECT datcollate FROM pg_database WHERE datname = 'archon'") == "C.UTF-8"
    wait_until(lambda: services.health(database.container) == "healthy", 30, "healthy")


@IMAGES
def test_the_password_is_asked_for_over_tcp_and_not_on_the_socket(
    image: str, image_of: Callable[[str], str], database_container: Callable[..., Database]
) -> None:
    database = database_container(image_of(image))
    wrong = Database(database.container, password="wrong")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        wrong.psql("SELECT 1")
    on_socket = database.exec("psql", "-U", "postgres", "-XAtc", "SELECT 1")
    assert (on_socket.returncode, on_socket.stdout) == (0, "1\n"), on_socket


def test_images_bring_the_tools_and_extensions(
    database_container: Callable[..., Database], pg17_image: str, pg18_image: str
) -> None:
    query = (
        "SELECT string_agg(name, ' ' ORDER BY name) FROM pg_available_extensions "
        "WHERE name IN ('vector', 'pg_trgm', 'pgcrypto')"
    )
    debian, wheel = database_container(pg17_image), database_container(pg18_image)

    assert debian.psql(query) == "pg_trgm pgcrypto vector"
    assert wheel.psql(query) == "pg_trgm vector"
    assert "17." in debian.exec("/usr/lib/postgresql/17/bin/pg_dump", "--version").stdout
    assert debian.exec("pgbackrest", "version").returncode == 0
    assert "18." in wheel.exec("pg_dump", "--version").stdout
    zstd = ("-U", "postgres", "-Fc", "-Z", "zstd:1", "--no-sync", "-f", "/dev/null", "postgres")
    assert debian.exec("/usr/lib/postgresql/17/bin/pg_dump", *zstd).returncode == 0
    assert "ZSTD" in wheel.exec("pg_dump", *zstd).stderr  # refused: built without


def test_an_old_debian_has_postgresql_15(
    database_container: Callable[..., Database], pg15_image: str
) -> None:
    database = database_container(pg15_image)

    assert database.psql("SHOW server_version").startswith("15.")
    assert database.exec("cat", "/proc/1/comm").stdout.strip() == "postgres"


def test_shared_memory_is_as_large_as_asked(
    database_container: Callable[..., Database], pg18_image: str
) -> None:
    small = database_container(pg18_image, wait=False)
    large = database_container(pg18_image, wait=False, shm_size="128m")

    # Header line, then: file system, megabytes in all ...
    megabytes = [
        int(each.exec("df", "-m", "/dev/shm").stdout.splitlines()[-1].split()[1])  # noqa: S108
        for each in (small, large)
    ]
    assert megabytes == [64, 128]


def test_a_stopped_server_stops_in_order_and_starts_again(
    database_container: Callable[..., Database], pg18_image: str
) -> None:
    database = database_container(pg18_image)
    database.psql("CREATE TABLE kept AS SELECT 1 AS x")

    database.container.stop(timeout=30)
    database.container.start()

    assert database.wait_ready().psql("SELECT x FROM kept") == "1"
    assert database.crashes() == []


@IMAGES
def test_the_rig_notices_an_orphan_that_was_killed(
    image: str, image_of: Callable[[str], str], database_container: Callable[..., Database]
) -> None:
    database = database_container(image_of(image))
    # The shell ends, so that process 1 inherits the program it has started.
    database.exec("sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $! >/tmp/orphan")
    orphan = database.exec("cat", "/tmp/orphan").stdout.strip()  # noqa: S108
    parent = database.exec("cat", f"/proc/{orphan}/stat").stdout.rpartition(")")[2].split()[1]
    assert parent == "1"
    assert database.crashes() == []
    started = database.started()

    assert database.exec("kill", "-9", orphan).returncode == 0

    wait_until(database.crashes, 30, "the log tells of crash recovery")
    assert any("terminating any other" in line for line in database.crashes()), database.log()
    assert database.wait_ready().started() == started  # the container did not restart: same process


def test_a_killed_child_of_an_exec_is_no_orphan(
    database_container: Callable[..., Database], pg18_image: str
) -> None:
    """The control: killing what an exec itself started harms nobody."""
    database = database_container(pg18_image)
    api = database.container.client.api
    argv = ["sh", "-c", "echo $$ >/tmp/child; exec sleep 1000"]
    made = api.exec_create(database.container.id, argv)
    api.exec_start(made["Id"], detach=True)

    wait_until(lambda: database.exec("cat", "/tmp/child").stdout, 30, "it runs")  # noqa: S108
    child = database.exec("cat", "/tmp/child").stdout.strip()  # noqa: S108

    assert database.exec("kill", "-9", child).returncode == 0

    wait_until(lambda: not api.exec_inspect(made["Id"])["Running"], 30, "the program ended")
    assert database.psql("SELECT 1") == "1"
    assert database.crashes() == []


def test_what_a_killed_session_left_is_swept(engine: Engine, service_image: str) -> None:
    code = (
        "import os, signal; from tests.docker.engine import Engine; e = Engine(); "
        f"c = e.run({service_image!r}); n = e.network(); print(c.id, n.id, flush=True); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    container, network = died.stdout.split()
    ours = engine.run(service_image)
    assert engine.client.containers.get(container).labels[LABEL] != engine.session

    engine.sweep()

    with pytest.raises(docker.errors.NotFound):
        engine.client.containers.get(container)
    with pytest.raises(docker.errors.NotFound):
        engine.client.networks.get(network)
    assert engine.client.containers.get(ours.id).status == "running"
    ours.remove(force=True)


def test_a_container_that_is_not_of_the_tests_is_left_alone(
    engine: Engine, service_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "")
    name = f"archon-rig-somebody-elses-{uuid.uuid4().hex[:8]}"
    monkeypatch.setattr("tests.docker.engine.FIXED_NAMES", (name,))
    foreign = engine.client.containers.create(service_image, name=name)
    try:
        with pytest.raises(pytest.skip.Exception, match="somebody-elses"), engine.fixed_names():
            pass
        engine.sweep()
        assert engine.client.containers.get(foreign.id).status == "created"
    finally:
        foreign.remove(force=True)
