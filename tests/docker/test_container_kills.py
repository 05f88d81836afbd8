"""SIGKILL of a command whose programs run inside: PostgreSQL never recovers, services come back."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from archon_ops.model.runs import Result
from tests.docker.engine import Engine
from tests.docker.house import RESTORE, House, house
from tests.support import wait_until

pytestmark = pytest.mark.slow
BACKUP = ("backup",)
MOMENTS = 10


@pytest.fixture(scope="module")
def home(engine: Engine, pg17_image: str, service_image: str) -> Iterator[House]:
    """A database with two services, one of which does not run."""
    with house(engine, pg17_image, service_image=service_image, count=2) as made:
        made.services[1].stop(timeout=1)
        made.run(*BACKUP).ok()
        yield made


def _phases(home: House, *args: str) -> tuple[str, ...]:
    """The phases and steps that a whole run goes through, as its record names them."""
    home.run(*args).ok()
    record = home.last()
    assert record.result is Result.DONE
    return tuple(dict.fromkeys(phase.name for phase in record.phases))


def _check(home: House, run: str) -> None:
    """After the next run all is as if the killed one had never been."""
    home.run(*BACKUP).ok()
    home.run("restore", "latest", "--scope", "database", "--database", "other", "--yes").ok()
    home.database.psql("DROP DATABASE other", "template1")
    home.check_clean()
    assert list(home.served().values()) == [True, False], run


@pytest.mark.parametrize("args", [BACKUP, RESTORE], ids=["backup", "restore"])
def test_killed_at_every_named_step(home: House, args: tuple[str, ...]) -> None:
    names = _phases(home, *args)
    wanted = {"restore.services", "restore.data", "restore.switch"} if args is RESTORE else set()
    assert wanted <= set(names)
    whole = home.content()
    for name in names:
        spawned = home.spawn(*args, pause_at=name)
        spawned.wait_paused(name)
        spawned.kill()
        assert home.content() == whole, name
        assert home.database.crashes() == [], name
    _check(home, "every step")


def test_killed_at_many_moments(home: House) -> None:
    whole = home.content()
    began = time.monotonic()
    home.run(*RESTORE).ok()
    seconds = time.monotonic() - began
    for moment in range(MOMENTS):
        args = RESTORE if moment % 2 else BACKUP
        length = seconds if moment % 2 else seconds / 2
        spawned = home.spawn(*args)
        # Not a wait for something: the moment itself is what varies.
        time.sleep(0.3 + length * moment / MOMENTS)
        spawned.kill()
        assert home.content() == whole, moment
        assert home.database.crashes() == [], moment
    _check(home, "many moments")


def test_a_sandbox_of_a_killed_run_is_removed_by_the_next(home: House, engine: Engine) -> None:
    spawned = home.spawn("verify", "latest", "--restore", pause_at="verify.proof")
    spawned.wait_paused("verify.proof")
    filters = {"label": f"archon_ops.sandbox={home.last().id}"}
    assert len(engine.client.containers.list(all=True, filters=filters)) == 1
    spawned.kill()
    home.run(*BACKUP).ok()
    assert engine.client.containers.list(all=True, filters=filters) == []
    assert engine.client.networks.list(filters=filters) == []


def test_an_orphan_that_is_killed_would_be_noticed(engine: Engine, pg17_image: str) -> None:
    with house(engine, pg17_image, filled=False) as other:
        other.database.exec("sh", "-c", "sleep 300 & echo")
        assert other.database.crashes() == []
        other.database.exec("pkill", "-KILL", "sleep")
        # PostgreSQL is PID 1: it takes the dead orphan for one of its own processes.
        wait_until(lambda: other.database.crashes() != [], 30, "the log tells of it")
