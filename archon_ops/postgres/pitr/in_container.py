"""A recovery sandbox in a container of the source's own image, on a network that leads nowhere.

Its first process only waits, so that the server inside can be started and stopped again and again.
The repository is mounted read-only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from archon_ops.errors import PreconditionError
from archon_ops.hosts.described import Container
from archon_ops.hosts.engine import Engine
from archon_ops.model.pitr.config import Config
from archon_ops.model.report import Report
from archon_ops.model.units import human_size
from archon_ops.postgres import container as containers
from archon_ops.postgres import container_sandbox
from archon_ops.postgres.container_programs import find_programs
from archon_ops.postgres.container_sandbox import LABEL, PASSED_ON, SHARED_BYTES
from archon_ops.postgres.pitr.inside import ANSWER_SECONDS, Inside, Layout, require
from archon_ops.postgres.pitr.pgbackrest import InContainer
from archon_ops.postgres.pitr.sandbox import Room
from archon_ops.postgres.server import Server

_WAITS = ("tail", "-f", "/dev/null")
_ROOM, _SOCKETS = "/var/lib/archon_ops", "/var/run/postgresql"
# Its address is on a network of its own: by that our sessions come.
_LISTENS = "*"
# Those inside may be anybody; everybody else needs the password that the role has in the cluster.
_SPARE_BYTES = 256 << 20
# On the live server's disk no more WAL may gather than there has to be room for.
_WAL_MEGABYTES = 256
_RULES = b"local all all trust\nhost all all all md5\n"


@dataclass(frozen=True)
class Place:
    """Where the data directory of the source lies, and a cluster beside it that will replace it.

    Attributes:
        volume: the volume, or folder of the engine's host, that is mounted there.
        mount: where, in the source's container and so in the sandbox.
        live: the source's data directory.
        folders: those to be made in it, one in the other; the last is the new data directory.
    """

    volume: str
    mount: str
    live: str
    folders: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What a sandbox is made of.

    Attributes:
        source: the container whose server is brought back, running or not.
        config: what pgBackRest knows of it.
        authorities: path -> certificate authority that the configuration names.
        folders: folder inside -> volume or folder of the engine's host that holds a repository.
        place: where the cluster shall lie if it is to replace the live one; None: in the sandbox
            itself, with which it goes.
        networks: those by which repositories elsewhere are reached, until the recovery is over.
        os_user: who owns PostgreSQL's files.
        role: who connects; empty: the container's own.
        password: of that role; empty: the container's own.
    """

    source: Container
    config: Config
    authorities: dict[str, bytes]
    folders: dict[str, str]
    place: Place | None
    networks: tuple[str, ...]
    os_user: str
    role: str
    password: str = field(repr=False)


class _Quarters:
    """The container, furnished by `Room`."""

    rules = _RULES

    def __init__(
        self,
        engine: Engine,
        plan: Plan,
        container: Container,
        run_id: str,
        limits: tuple[float, float, float],
        seconds: float,
        report: Report,
    ) -> None:
        self._engine = engine
        self._plan = plan
        self._container = container
        self._run_id = run_id
        self._limits = limits
        self._report = report
        self._networks = plan.networks
        self.host = InContainer(engine, container, plan.os_user)
        self.serves = plan.place is not None
        self.spare_bytes = _SPARE_BYTES
        self.layout = Layout(_ROOM, _SOCKETS, _LISTENS)
        if plan.place:
            self.spare_bytes += _WAL_MEGABYTES << 20
            self.layout = replace(
                self.layout, elsewhere=plan.place.folders, wal_megabytes=_WAL_MEGABYTES
            )
        role = plan.role or container.environment.get("POSTGRES_USER") or "postgres"
        programs = find_programs(engine, container)
        self.inside = Inside(self.host, self.layout, programs, role=role, seconds=seconds)

    def make(self, folders: tuple[str, ...]) -> None:
        """Make folders inside."""
        made = ("install", "-d", "-o", self._plan.os_user, "-m", "0700", *folders)
        done = self._engine.run(self._container.id, made, timeout=ANSWER_SECONDS, user="root")
        require(done, "making its folders")

    def no_room(self, needed: int, free: int) -> PreconditionError:
        """The error where a cluster does not fit."""
        place = self._plan.place
        where = f"beside {place.live}" if place else "where the engine keeps its containers"
        return PreconditionError(
            f"not enough room for a sandbox: {human_size(needed)} needed, {human_size(free)} free "
            f"{where}",
            "free some space there: docker system df",
        )

    def cut_off(self) -> None:
        """Leave every network by which a repository was reached."""
        for network in self._networks:
            self._engine.leave(network, self._container.id)
        self._networks = ()

    def server(self) -> AbstractContextManager[Server]:
        """The server inside, over the sandbox's own network."""
        connect, answer, lock = self._limits
        return containers.opened(
            self._engine,
            self._engine.inspect(self._container.id),
            user=self._plan.role,
            password=self._plan.password,
            run_id=self._run_id,
            connect_seconds=connect,
            answer_seconds=answer,
            lock_seconds=lock,
            report=self._report,
        )


@contextlib.contextmanager
def room(
    engine: Engine,
    plan: Plan,
    *,
    run_id: str,
    limits: tuple[float, float, float],
    seconds: float,
    report: Report,
) -> Iterator[Room]:
    """Such a sandbox, furnished and empty, for the length of the block; it leaves nothing.

    Args:
        engine: where.
        plan: what it is made of.
        run_id: names every session, the container and the network.
        limits: seconds for a connection, an answer, a lock.
        seconds: how long a restore, and a recovery, may take.
        report: is told how far it is.
    """
    name = f"archon_sandbox-{run_id}"
    labels = {LABEL: run_id}
    passed = (*PASSED_ON, "POSTGRES_USER", "POSTGRES_PASSWORD")
    env = {k: v for k, v in plan.source.environment.items() if k in passed}
    try:
        made = engine.create(
            plan.source.image,
            name,
            env=env,
            labels=labels,
            network=engine.create_network(name, labels),
            shm_bytes=SHARED_BYTES,
            entrypoint=_WAITS,
            readonly=plan.folders,
            writable={plan.place.mount: plan.place.volume} if plan.place else {},
            extra_hosts=plan.source.extra_hosts if plan.networks else (),
        )
        for network in plan.networks:
            engine.join(network, made)
        engine.start(made)
        quarters = _Quarters(engine, plan, engine.inspect(made), run_id, limits, seconds, report)
        found = Room(quarters, plan.config, plan.authorities, seconds)
        found.furnish()
        yield found
    finally:
        container_sandbox.remove(engine, run_id)
