"""A sandbox in which pgBackRest brings a whole cluster back: own container, own data, no way out.

The container is of the source's own image, on a network that leads nowhere; it reads the repository
and cannot write to it. Its first process only waits, so that the server inside can be started and
stopped again and again. The server is told all that it is told by us: nothing of the source's
configuration can start anything in it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.hosts.described import Container
from archon_ops.hosts.engine import Engine
from archon_ops.model.pitr.config import NAME, Config, render
from archon_ops.model.pitr.recovery import (
    Stop,
    Stopped,
    complaint,
    stopped,
)
from archon_ops.model.report import Report
from archon_ops.model.units import human_size
from archon_ops.postgres import container as containers
from archon_ops.postgres import container_sandbox
from archon_ops.postgres.container_sandbox import LABEL, PASSED_ON, SHARED_BYTES
from archon_ops.postgres.pitr.inside import (
    ANSWER_SECONDS,
    CONF,
    DATA,
    HBA,
    ROOM,
    SOCKETS,
    Inside,
    require,
)
from archon_ops.postgres.pitr.pgbackrest import InContainer, PgBackRest
from archon_ops.postgres.server import Server

_WAITS = ("tail", "-f", "/dev/null")
# Those inside may be anybody; everybody else needs the password that the role has in the cluster.
_RULES = b"local all all trust\nhost all all all md5\n"
_POLL_SECONDS = 0.1
# Room for WAL on its way, besides the cluster itself.
_SPARE_BYTES = 256 << 20


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


class Room:
    """Such a sandbox, from the empty container to the server that answers.

    Args:
        engine: where.
        plan: what it is made of.
        container: the sandbox's own.
        run_id: names every session.
        limits: seconds for a connection, an answer, a lock.
        seconds: how long a restore, and a recovery, may take.
        report: is told how far it is.
    """

    def __init__(
        self,
        engine: Engine,
        plan: Plan,
        container: Container,
        *,
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
        self._seconds = seconds
        self._report = report
        self.host = InContainer(engine, container, plan.os_user)
        self._networks = plan.networks
        self._data = plan.place.folders[-1] if plan.place else DATA
        self.inside = Inside(engine, container, self.host, plan.role, seconds, self._data)

    @property
    def backrest(self) -> PgBackRest:
        """The pgBackRest inside, which can read the repository and not write to it."""
        return PgBackRest(self.host, self._plan.config.stanza, f"{ROOM}/{NAME}")

    def furnish(self) -> None:
        """Put in what pgBackRest and the server need; no data yet."""
        plan, user = self._plan, self._plan.os_user
        mine = plan.place.folders if plan.place else (DATA,)
        folders = (ROOM, *mine, SOCKETS, *{path.rpartition("/")[0] for path in plan.authorities})
        made = ("install", "-d", "-o", user, "-m", "0700", *folders)
        done = self._engine.run(self._container.id, made, timeout=ANSWER_SECONDS, user="root")
        require(done, "making its folders")
        config = replace(
            plan.config,
            data_folder=self._data,
            spool=f"{ROOM}/spool",
            locks=f"{ROOM}/locks",
            asynchronous=False,
        )
        files = {f"{ROOM}/{NAME}": render(config).encode(), HBA: _RULES, CONF: b""}
        for path, data in {**files, **plan.authorities}.items():
            self.host.write(path, data)

    def restore(self, stop: Stop, *, backup: str | None, again: bool = False) -> None:
        """Bring the files of a backup back, and say where the recovery shall stop.

        Args:
            stop: where.
            backup: pgBackRest's label of it; None leaves it to pgBackRest.
            again: whether there are files already, of which most will do.

        Raises:
            UntrustworthyError: the repository is damaged; names what.
            OpsError: pgBackRest failed.
        """
        which = () if backup is None else (f"--set={backup}",)
        more = ("--delta",) if again else ()
        # One that will serve goes on archiving where the live one ended.
        never = () if self._plan.place else ("--archive-mode=off",)
        self.backrest.run(
            "restore",
            *never,
            f"--tablespace-map-all={ROOM}/tablespaces",
            *stop.arguments,
            *which,
            *more,
            timeout=self._seconds,
        )

    def room_for(self, needed: int) -> None:
        """Make sure that a cluster of so many bytes fits.

        Raises:
            PreconditionError: it does not.
        """
        done = self.host.run(("df", "-Pk", self._data), timeout=ANSWER_SECONDS)
        fields = done.stdout.splitlines()[-1].split() if done.returncode == 0 else []
        free = int(fields[3]) * 1024 if len(fields) > 3 and fields[3].isdigit() else None
        if free is not None and free < needed + _SPARE_BYTES:
            place = self._plan.place
            where = f"beside {place.live}" if place else "where the engine keeps its containers"
            raise PreconditionError(
                f"not enough room for a sandbox: {human_size(needed + _SPARE_BYTES)} needed, "
                f"{human_size(free)} free {where}",
                "free some space there: docker system df",
            )

    def recover(self, **target: str) -> Stopped:
        """Start the server, and wait until it has recovered as far as it shall.

        Args:
            target: recovery settings instead of those that the restore wrote.

        Raises:
            MissedError: the archive did not give all that is needed.
            OpsError: the server did not start, or not in time.
        """
        began = time.monotonic()
        self.inside.start(**self._waiting, **target)
        while not self.inside.recovered():
            if time.monotonic() - began > self._seconds:
                raise OpsError(
                    f"the recovery did not end within {self._seconds:.0f} s", "deadlines.restore"
                )
            time.sleep(_POLL_SECONDS)
        found = self.inside.ask("SELECT pg_catalog.pg_last_xact_replay_timestamp()")
        return stopped(self.inside.log(), datetime.fromisoformat(found) if found else None)

    @property
    def _waiting(self) -> dict[str, str]:
        """Has WAL wait for the archive until the cluster serves; one that never will keeps none."""
        return {"archive_mode": "on", "archive_command": ""} if self._plan.place else {}

    def promote(self) -> None:
        """Let the server take writes: first every network is gone by which it could be heard.

        One that will serve has to see in the archive which timelines there are: its own would
        else be one that another recovery has taken.
        """
        if not self._plan.place:
            self._leave()
        if self.inside.ask("SELECT pg_catalog.pg_is_in_recovery()") == "t":
            self.inside.ask("SELECT pg_catalog.pg_wal_replay_resume()")
        until = time.monotonic() + ANSWER_SECONDS
        while self.inside.ask("SELECT pg_catalog.pg_is_in_recovery()") == "t":
            if time.monotonic() > until:
                raise OpsError(
                    f"the recovered server was not promoted: {complaint(self.inside.log())}"
                )
            time.sleep(_POLL_SECONDS)
        self._leave()

    def _leave(self) -> None:
        for network in self._networks:
            self._engine.leave(network, self._container.id)
        self._networks = ()

    @contextlib.contextmanager
    def server(self) -> Iterator[Server]:
        """The server inside, once it answers."""
        connect, answer, lock = self._limits
        with containers.opened(
            self._engine,
            self._engine.inspect(self._container.id),
            user=self._plan.role,
            password=self._plan.password,
            run_id=self._run_id,
            connect_seconds=connect,
            answer_seconds=answer,
            lock_seconds=lock,
            report=self._report,
        ) as server:
            yield server


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
        found = Room(
            engine,
            plan,
            engine.inspect(made),
            run_id=run_id,
            limits=limits,
            seconds=seconds,
            report=report,
        )
        found.furnish()
        yield found
    finally:
        container_sandbox.remove(engine, run_id)
