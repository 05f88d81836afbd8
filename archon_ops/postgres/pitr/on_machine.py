"""A recovery sandbox on this machine: a folder of PostgreSQL's own user, and a socket in it.

Nobody but that user, and root, gets into the folder, and its server listens to nothing but that
socket: so it is heard by nobody, and speaks to nobody but the repository that its WAL comes from.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from archon_ops.errors import PreconditionError
from archon_ops.model.pitr.config import Config
from archon_ops.model.units import human_size
from archon_ops.postgres.pitr import elsewhere
from archon_ops.postgres.pitr.inside import ANSWER_SECONDS, PORT, Inside, Layout, require
from archon_ops.postgres.pitr.pgbackrest import OnThisMachine, PgBackRest
from archon_ops.postgres.pitr.sandbox import Room
from archon_ops.postgres.programs import LocalPrograms
from archon_ops.postgres.sandbox import placed, sandbox_tools
from archon_ops.postgres.server import Server

_SETTING = "pitr.scratch"
_RULES = b"local all all trust\n"
# What neither a shell nor libpq reads anything into, and a socket's path has room for.
_PLAIN = re.compile(r"/[\w./-]*", re.ASCII)
_SOCKET_BYTES = 103
# The live server may write to the same disk, and ends where that is full.
_WAL_MEGABYTES = 512
_SPARE_BYTES = 2 * _WAL_MEGABYTES << 20


@dataclass(frozen=True)
class Plan:
    """What such a sandbox is made of.

    Attributes:
        config: what pgBackRest knows of the source.
        authorities: path that the configuration names -> certificate authority; as it was or is
            for the server. The sandbox has copies of its own.
        scratch: folder that the sandbox's own is made in.
        places: folder of ours in which every sandbox has its place.
        os_user: who owns PostgreSQL's files.
        role: a superuser, or any other, who can be asked for the superuser's name.
        address: libpq keywords with which we connect besides host and port: a role.
        shown: how the source's server is named.
    """

    config: Config
    authorities: Mapping[str, bytes]
    scratch: Path
    places: Path
    os_user: str
    role: str
    address: Mapping[str, str]
    shown: str


class _Quarters:
    """The folder, furnished by `Room`."""

    rules = _RULES
    spare_bytes = _SPARE_BYTES
    serves = False

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        run_id: str,
        limits: tuple[float, float, float],
        seconds: float,
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._run_id = run_id
        self._limits = limits
        self._seconds = seconds
        self.host = OnThisMachine(plan.os_user, str(folder))
        self.layout = Layout(str(folder), str(folder / "s"), wal_megabytes=_WAL_MEGABYTES)

    @functools.cached_property
    def inside(self) -> Inside:
        """The server inside: of the version that the repository's backups are of."""
        tools = sandbox_tools("direct", self._major)
        program = str(tools.folder / "postgres")
        done = self.host.run((program, "--version"), timeout=ANSWER_SECONDS)
        if done.returncode != 0:
            raise PreconditionError(
                f"user {self.host.user} cannot run {program}: {done.reason}",
                f"install the package postgresql-{tools.major}",
            )
        programs = str(tools.folder), tools.version
        return Inside(self.host, self.layout, programs, role=self._plan.role, seconds=self._seconds)

    @functools.cached_property
    def _major(self) -> int:
        backrest = PgBackRest(self.host, self._plan.config.stanza, self.layout.backrest)
        stock = backrest.info()
        if not stock.version:
            raise PreconditionError(
                f"the repository holds nothing of a stanza {stock.stanza}",
                "is pitr.stanza right? A new one: inv pitr.setup",
            )
        return int(float(stock.version))

    def make(self, folders: tuple[str, ...]) -> None:
        """Make folders in it; it itself is there."""
        done = self.host.run(("install", "-d", "-m", "0700", *folders), timeout=ANSWER_SECONDS)
        require(done, "making its folders")

    def no_room(self, needed: int, free: int) -> PreconditionError:
        """The error where a cluster does not fit."""
        return PreconditionError(
            f"not enough room for a sandbox in {self._plan.scratch}: {human_size(needed)} needed, "
            f"{human_size(free)} free",
            f"free some space there, or set {_SETTING} to a folder on a larger disk",
        )

    def cut_off(self) -> None:
        """Nobody hears it but over the socket in its own folder."""

    @contextlib.contextmanager
    def server(self) -> Iterator[Server]:
        """The server inside, over its socket."""
        connect, answer, lock = self._limits
        address = {**self._plan.address, "host": self.layout.sockets, "port": str(PORT)}
        yield Server(
            kind="direct",
            host=self._plan.shown,
            address=address,
            programs=LocalPrograms(sandbox_tools("direct", self.inside.major), address),
            run_id=self._run_id,
            connect_seconds=connect,
            answer_seconds=answer,
            lock_seconds=lock,
        )


@contextlib.contextmanager
def room(
    plan: Plan, *, run_id: str, limits: tuple[float, float, float], seconds: float
) -> Iterator[Room]:
    """Such a sandbox, furnished and empty, for the length of the block; it leaves nothing.

    Args:
        plan: what it is made of.
        run_id: names every session, and the sandbox's place.
        limits: seconds for a connection, an answer, a lock.
        seconds: how long a restore, and a recovery, may take.

    Raises:
        PreconditionError: it cannot be made there; says why.
    """
    with placed(plan.places, run_id) as place, _folder(plan, place) as folder:
        quarters = _Quarters(plan, folder, run_id, limits, seconds)
        _check_way_in(quarters.host, plan.scratch)
        found = Room(quarters, *_named(plan, folder), seconds)
        found.furnish()
        yield found


@contextlib.contextmanager
def _folder(plan: Plan, place: Path) -> Iterator[Path]:
    """The folder, that user's own."""
    with contextlib.ExitStack() as held:
        try:
            folder = held.enter_context(elsewhere.made(place, plan.scratch.resolve(strict=True)))
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                OnThisMachine(plan.os_user).give(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise PreconditionError(
                f"no sandbox can be made in {plan.scratch}: {error.strerror}",
                f"set {_SETTING} to a folder with much room that user {plan.os_user} gets into",
            ) from error
        longest = f"{folder}/s/.s.PGSQL.{PORT}.lock"
        if not _PLAIN.fullmatch(str(folder)) or len(longest.encode()) > _SOCKET_BYTES:
            raise PreconditionError(
                f"no socket can be made in {plan.scratch}: its path is too long, or has other than "
                "plain letters",
                f"set {_SETTING} to another folder, as /var/tmp",
            )
        yield folder


def _check_way_in(host: OnThisMachine, scratch: Path) -> None:
    done = OnThisMachine(host.user).run(("test", "-w", host.folder), timeout=ANSWER_SECONDS)
    if done.returncode != 0:
        raise PreconditionError(
            f"user {host.user}, who runs PostgreSQL, does not get into {scratch}",
            f"set {_SETTING} to a folder that everybody may pass, as /var/tmp",
        )


def _named(plan: Plan, folder: Path) -> tuple[Config, dict[str, bytes]]:
    """The configuration with its certificate authorities in that folder, and these."""
    repositories = tuple(
        replace(one, s3=replace(one.s3, ca_file=_inside(one.s3.ca_file, folder)))
        if one.s3 and one.s3.ca_file
        else one
        for one in plan.config.repositories
    )
    named = {_inside(path, folder): data for path, data in plan.authorities.items()}
    return replace(plan.config, repositories=repositories), named


def _inside(path: str, folder: Path) -> str:
    return str(folder / Path(path).name)
