"""Services around a restore, and `inv start` and `inv stop`."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from archon_ops.errors import PreconditionError
from archon_ops.services.compose import Project
from tests.docker import services as stand_ins
from tests.docker.engine import Engine
from tests.docker.house import RESTORE, House, house
from tests.support import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lonely(engine: Engine, pg18_image: str) -> Iterator[House]:
    """A database and a backup of it; services are a test's own."""
    with house(engine, pg18_image) as made:
        made.run("backup").ok()
        yield made


@pytest.fixture
def serve(engine: Engine, service_image: str, lonely: House) -> Iterator[Callable[..., Container]]:
    """Makes services with made-up names."""
    with contextlib.ExitStack() as made:

        def make(**options: Any) -> Container:
            name = f"archon-rig-service-{uuid.uuid4().hex[:8]}"
            started = stand_ins.start(engine, service_image, name, **options)
            made.callback(started.remove, force=True, v=True)
            return started

        yield make
    (lonely.installation.root / ".env").unlink(missing_ok=True)


def _with(lonely: House, *services: Container, seconds: int = 30, **source: Any) -> House:
    home = replace(lonely, services=services)
    home.configure(deadlines=f"well = {seconds}\nstop = 1", **source)
    return home


def test_a_service_without_a_healthcheck(lonely: House, serve: Callable[..., Container]) -> None:
    home = _with(lonely, serve(healthcheck=False))
    name = home.services[0].name
    wait_until(lambda: stand_ins.get(home.services[0])[0] == 200, 20, "it answers")
    done = home.run(*RESTORE)
    assert f"{name} is back" in done.stderr
    assert done.ok()
    assert home.served() == {name: True}


def test_a_service_that_stays_unhealthy_is_named(
    lonely: House, serve: Callable[..., Container]
) -> None:
    ill, well = serve(env={"NEVER_HEALTHY": "1"}), serve()
    stand_ins.wait_healthy(well)
    home = _with(lonely, ill, well, seconds=20)
    done = home.run(*RESTORE)
    assert f"{ill.name} did not come back" in done.stderr, done
    assert f"{well.name} is back" in done.stderr
    assert "proven equal" in done.stderr
    assert "Services Did Not Come Back" in done.ended(1).stderr
    assert set(home.served().values()) == {True}


def test_a_service_that_ignores_us_is_stopped_all_the_same(
    lonely: House, serve: Callable[..., Container]
) -> None:
    stubborn = serve(env={"IGNORE_TERM": "1"})
    home = _with(lonely, stubborn)
    home.run("stop").ok()
    assert home.served() == {stubborn.name: False}
    home.run("start").ok()
    assert home.served() == {stubborn.name: True}


@pytest.mark.parametrize("command", [RESTORE, ("start",), ("stop",)], ids=lambda c: c[0])
def test_the_database_is_no_service(
    lonely: House, serve: Callable[..., Container], command: tuple[str, ...]
) -> None:
    service = serve()
    database = lonely.database.container.name
    home = _with(lonely, service, services=[service.name, database])
    before = home.databases()
    done = home.run(*command)
    assert done.returncode not in (0, 1), done
    assert f"{database} is in the list of services" in done.stderr
    assert home.served() == {service.name: True}
    lonely.database.container.reload()
    assert lonely.database.container.status == "running"
    assert home.databases() == before


def test_no_compose_file(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError) as raised:
        Project("sources.archon.archon_compose", tmp_path).up()
    assert str(tmp_path) in raised.value.message
    assert "sources.archon.archon_compose" in raised.value.hint


def _ask_for_backup(home: House) -> None:
    (home.installation.root / ".env").write_text("BACKUP_ON_START=true\n")


def test_start_takes_a_backup_first(lonely: House, serve: Callable[..., Container]) -> None:
    service = serve()
    home = _with(lonely, service)
    _ask_for_backup(home)
    home.run("stop").ok()
    before = home.dumps()
    done = home.run("start", "--json").ok()
    (new,) = set(home.dumps()) - set(before)
    assert "pre-start" in new
    assert done.json["backup"] == new
    assert list((home.installation.root / "backups").glob(f"{Path(new).stem}*verify*"))
    assert home.served() == {service.name: True}


def test_nothing_starts_without_its_backup(lonely: House, serve: Callable[..., Container]) -> None:
    service = serve()
    home = _with(lonely, service)
    _ask_for_backup(home)
    home.run("stop").ok()
    lonely.database.container.stop(timeout=60)
    try:
        done = home.run("start", "--quiet").ended(3)
        assert home.served() == {service.name: False}
        assert "nothing was started" in done.stderr
        assert f"docker start {lonely.database.container.name}" in done.stderr
        assert len(done.stderr.strip().splitlines()) <= 3, done.stderr
        home.run("start", "--skip-backup").ok()
        assert home.served() == {service.name: True}
    finally:
        lonely.database.container.start()
        lonely.database.wait_ready()
