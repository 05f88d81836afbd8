"""A PostgreSQL in a container: how tests reach it, and what its log tells."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

import psycopg
from docker.models.containers import Container

from tests.docker.engine import Engine
from tests.support import wait_until

PASSWORD = "a password of these tests"  # noqa: S105 - of throwaway databases
PORT = "5432/tcp"
READY_SECONDS = 60.0
_SECOND = 1_000_000_000  # the engine counts in nanoseconds
# What a postmaster writes when a child died in a way that may have damaged shared memory.
_CRASH = re.compile(
    r"terminating any other active server processes"
    r"|all server processes terminated; reinitializing"
    r"|database system was (?:interrupted|not properly shut down)"
    r"|automatic recovery in progress"
)

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Execution:
    """What a program in the container left behind."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Database:
    """A container with a PostgreSQL, and its superuser.

    Attributes:
        container: as the docker SDK knows it.
        user: the superuser that initdb made.
        password: of the superuser.
        name: the database that the container was made for.
    """

    container: Container
    user: str = "postgres"
    password: str = PASSWORD
    name: str = "postgres"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port: the published ones, else those of the container itself."""
        self.container.reload()
        settings = self.container.attrs["NetworkSettings"]
        if published := (settings["Ports"] or {}).get(PORT):
            return published[0]["HostIp"], int(published[0]["HostPort"])
        first = next(iter(settings["Networks"].values()))
        return first["IPAddress"], int(PORT.partition("/")[0])

    def connect(
        self, database: str | None = None, *, user: str | None = None, **options: Any
    ) -> Connection:
        """An autocommit session over TCP; every role of the rig has the same password."""
        host, port = self.address
        return psycopg.connect(
            host=host,
            port=port,
            dbname=database or self.name,
            user=user or self.user,
            password=self.password,
            connect_timeout=60,
            autocommit=True,
            **options,
        )

    def psql(self, query: str, database: str | None = None, *, user: str | None = None) -> str:
        """What the query answers: a line for each row, columns joined by "|", NULL empty."""
        with self.connect(database, user=user) as connection:
            cursor = connection.execute(query.encode(), prepare=False)
            rows = cursor.fetchall() if cursor.description else []
        return "\n".join("|".join("" if v is None else str(v) for v in row) for row in rows)

    def exec(
        self, *argv: str, user: str = "", environment: dict[str, str] | None = None
    ) -> Execution:
        """Run a program in the container to its end."""
        done = self.container.exec_run(
            list(argv), demux=True, user=user, environment=environment or {}
        )
        out, err = (part.decode() if part else "" for part in done.output)
        return Execution(done.exit_code, out, err)

    def wait_ready(self, timeout: float = READY_SECONDS) -> Database:
        """Itself, once the same server has answered twice over TCP."""
        wait_until(self._answers_twice, timeout, f"{self.container.name} answers")
        return self

    def started(self) -> str:
        """When the server started; a restart changes it, and crash recovery does not."""
        return self.psql("SELECT pg_postmaster_start_time()", "template1")

    def log(self) -> str:
        """All that the container wrote since it was made."""
        return self.container.logs().decode(errors="replace")

    def crashes(self) -> list[str]:
        """Lines of its log that tell of crash recovery."""
        return [line for line in self.log().splitlines() if _CRASH.search(line)]

    def _answers_twice(self) -> bool:
        self.container.reload()
        assert self.container.status not in ("exited", "dead"), self.log()
        try:
            first = self.started()
            time.sleep(0.05)
            return first == self.started()
        except (psycopg.OperationalError, KeyError, StopIteration, ValueError):
            return False


def start(
    engine: Engine,
    image: str,
    *,
    name: str | None = None,
    env: dict[str, str] | None = None,
    shm_size: str | None = None,
    publish: bool = False,
    network: str | None = None,
    command: list[str] | None = None,
    healthcheck: bool = True,
    wait: bool = True,
    **options: Any,
) -> Database:
    """Start a container with a database.

    Args:
        engine: where.
        image: reference of an image of the rig.
        name: of the container; made up unless given.
        env: POSTGRES_USER, POSTGRES_DB and the like, on top of a password.
        shm_size: of /dev/shm, as "256m"; the engine's default is 64 MB.
        publish: whether a free port of the loopback address leads to it.
        network: to attach it to instead of the default bridge.
        command: arguments of postgres, like ["-c", "fsync=off"].
        healthcheck: whether it has one.
        wait: whether to return only when it is ready.
        options: anything else that the docker SDK's `run` takes.
    """
    # Only initdb does not sync; the server does.
    defaults = {"POSTGRES_PASSWORD": PASSWORD, "POSTGRES_INITDB_ARGS": "--no-sync"}
    environment = {**defaults, **(env or {})}
    user = environment.get("POSTGRES_USER", "postgres")
    given = {"shm_size": shm_size, "network": network, "command": command}
    container = engine.run(
        image,
        name=name,
        environment=environment,
        ports={PORT: ("127.0.0.1", None)} if publish else {},
        stop_signal="SIGINT",  # fast shutdown, as the official image asks; an import cannot say it
        **({"healthcheck": _healthcheck(user)} if healthcheck else {}),
        **{key: value for key, value in given.items() if value is not None},
        **options,
    )
    database = environment.get("POSTGRES_DB", user)
    made = Database(container, user, environment["POSTGRES_PASSWORD"], database)
    return made.wait_ready() if wait else made


def _healthcheck(user: str) -> dict[str, Any]:
    return {
        "test": ["CMD", "pg_isready", "--username", user, "--host", "localhost"],
        "interval": _SECOND,
        "timeout": 60 * _SECOND,
        "retries": 10,
    }
