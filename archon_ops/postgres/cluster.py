"""A PostgreSQL cluster of our own, shared by the commands that run together.

The first user starts the server, each holds a shared lock while using it, and the last one stops
it. All decisions fall under one short exclusive lock, the gate. Locks vanish with their holder, so
users that were killed leave at worst a running server, which the next user adopts.

    folder/  data/        PostgreSQL's own; there only while it is whole
             gate.lock    held while something is decided
             users.lock   shared by everybody who uses the server
             server.lock  held by the server itself
             socket       names the folder of its socket
             server.log
"""

from __future__ import annotations

import contextlib
import os
import pwd
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from archon_ops.errors import LockedError, OpsError, PreconditionError
from archon_ops.hosts import flock
from archon_ops.postgres import initdb, socket_folder
from archon_ops.postgres.postmaster import Address, Postmaster
from archon_ops.postgres.tools import Tools, check_server_programs

__all__ = ["Address", "Cluster"]

_POLL_SECONDS = 0.01
_FILES = ("users.lock", "server.lock", "server.log", "server.log.old", "socket", "gate.lock")

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    # A dump locks every table at once; this is room for some forty thousand.
    "max_locks_per_transaction": "512",
    "shared_buffers": "128MB",
    # A vector index over 20,000 rows does not fit the default of 64 MB.
    "maintenance_work_mem": "256MB",
    # Loading gigabytes should not wait for checkpoints, nor a recovery take minutes.
    "max_wal_size": "2GB",
    # With less, restoring a publication warns, and no restore of ours passes over a warning.
    "wal_level": "logical",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
}
_SANDBOX = {
    "fsync": "off",
    "full_page_writes": "off",
    # A copy must not subscribe to what its original subscribes to.
    "max_logical_replication_workers": "0",
}
# Containers have 64 MB in /dev/shm, less than one parallel index build takes; files always work.
_SMALL_SHM = {"dynamic_shared_memory_type": "mmap"}
_SMALL_SHM_BYTES = 1024**3


class Cluster:
    """A cluster in a folder, with the server that runs on it while somebody uses it.

    Args:
        tools: programs with initdb and postgres among them.
        folder: where all of it lies, at any path; made by `create`.
        durable: False for throwaway copies: faster, and lost if the machine fails.
        settings: more settings of the server; they hold when this object starts it.
        deadline: seconds for a start, for an orderly stop, and for initdb.
    """

    def __init__(
        self,
        tools: Tools,
        folder: Path,
        *,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
        deadline: float = 60.0,
    ) -> None:
        self.tools = tools
        self.folder = folder.absolute()
        self._durable = durable
        self._settings = dict(settings or {})
        self._deadline = deadline
        self._server = Postmaster(tools, self.folder)

    @property
    def data_folder(self) -> Path:
        """PostgreSQL's data directory."""
        return self._server.data

    @property
    def log(self) -> Path:
        """What the server wrote, newest last."""
        return self._server.log

    def exists(self) -> bool:
        """Whether a complete cluster is there.

        Raises:
            PreconditionError: this user may not look.
        """
        with self._access():
            return (self.data_folder / "PG_VERSION").is_file()

    def create(self) -> None:
        """Make the cluster, if it is not there; a kill at any moment leaves none or a whole one.

        Raises:
            PreconditionError: server programs are missing, or may not be run here.
            OpsError: initdb failed.
        """
        check_server_programs(self.tools)
        with self._access():
            _make_private(self.folder)
        with self._gate():
            if not self.exists():
                initdb.make(self._server, durable=self._durable, deadline=self._deadline)

    @contextlib.contextmanager
    def running(self) -> Iterator[Address]:
        """The server's address; it runs at least until the end of the block.

        Blocks may overlap as they like, in one process or in many.

        Raises:
            PreconditionError: there is no cluster, or it is another user's or version's.
            OpsError: the server did not start in time.
            LockedError: another command does not finish starting or stopping it.
        """
        self._check()
        address, users = self._enter()
        try:
            yield address
        finally:
            try:
                with self._gate():
                    self._leave(users)
            finally:
                os.close(users)

    def remove(self) -> None:
        """Stop the server and delete everything; nothing happens where nothing is.

        Raises:
            LockedError: somebody uses it.
        """
        if not self.exists() and not self.folder.exists():
            return
        with self._gate():
            users = flock.open_lock(self.folder / "users.lock")
            try:
                self._delete(users)
            finally:
                os.close(users)
        with contextlib.suppress(OSError):  # what is left in it is not ours
            self.folder.rmdir()

    def _delete(self, users: int) -> None:
        if not flock.take(users):
            raise LockedError(
                f"the PostgreSQL in {self.folder} is in use by another command",
                "wait until that command has ended, then try again",
            )
        self._server.refuse_stranger()
        self._server.stop(self._deadline, now=True)
        initdb.delete(self._server)
        for name in _FILES:
            (self.folder / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _gate(self) -> Iterator[None]:
        patience = 2 * self._deadline  # somebody may stop it and somebody else start it first
        with self._access(), flock.held(self.folder / "gate.lock", timeout=patience) as ours:
            if not ours:
                raise LockedError(
                    f"for {patience:.0f} s another command has been starting or stopping the "
                    f"PostgreSQL in {self.folder}",
                    f"look at {self.log}",
                )
            yield

    def _enter(self) -> tuple[Address, int]:
        with self._gate():
            users = flock.open_lock(self.folder / "users.lock")
            flock.take(users, shared=True)
            try:
                return self._serve(users), users
            except BaseException as error:
                try:
                    # One that failed is gone; one that is late recovers, and the next waits on.
                    if not isinstance(error, OpsError):
                        self._leave(users)
                finally:
                    os.close(users)
                raise

    def _leave(self, users: int) -> None:
        if flock.take(users):  # nobody else is there
            self._server.stop(self._deadline)

    def _serve(self, users: int) -> Address:
        """Wait until the server answers; start it when there is none."""
        started = False
        end = time.monotonic() + self._deadline
        while time.monotonic() < end:
            if self._server.alive():
                address = self._server.answers()
                if address is not None:
                    return address
                self._stop_unreachable(users)
            elif started:
                socket_folder.sweep(self.folder)
                raise self._failure("did not start", f"look at {self.log}")
            else:
                self._server.start(self._all_settings())
                started = True
            time.sleep(_POLL_SECONDS)
        raise self._failure(
            f"does not answer after {self._deadline:.0f} s",
            f"it may be recovering from a crash: try again, or look at {self.log}",
        )

    def _stop_unreachable(self, users: int) -> None:
        """Stop a server whose socket was deleted, if nobody else is connected to it."""
        if not self._server.unreachable():
            return
        if flock.take(users):
            self._server.stop(self._deadline)
        # Even the failed attempt gave our share up; under the gate nobody can come between.
        flock.take(users, shared=True)

    def _failure(self, what: str, hint: str) -> OpsError:
        return OpsError(f"PostgreSQL in {self.folder} {what}: {self._server.said()}", hint)

    def _all_settings(self) -> dict[str, str]:
        memory = _SMALL_SHM if _shared_memory_bytes() < _SMALL_SHM_BYTES else {}
        return {**_SETTINGS, **memory, **({} if self._durable else _SANDBOX), **self._settings}

    def _check(self) -> None:
        """Find out early, and in words, why the server could not run."""
        check_server_programs(self.tools)
        if not self.exists():
            raise PreconditionError(f"there is no PostgreSQL cluster in {self.folder}")
        with self._access():
            owner = self.data_folder.stat().st_uid
            version = self.data_folder / "PG_VERSION"
            major = version.read_text().strip() if owner == os.geteuid() else ""
        if owner != os.geteuid():
            raise PreconditionError(
                f"the cluster in {self.folder} belongs to user {_user_name(owner)}",
                "run the command as that user, or in another folder",
            )
        if major != str(self.tools.major):
            raise PreconditionError(
                f"the cluster in {self.folder} is of PostgreSQL {major}, the programs in "
                f"{self.tools.folder} are of {self.tools.major}",
                f"use programs of PostgreSQL {major}",
            )

    @contextlib.contextmanager
    def _access(self) -> Iterator[None]:
        """Say in words why the folder cannot be worked in."""
        try:
            yield
        except OSError as error:
            raise PreconditionError(
                f"user {_user_name(os.geteuid())} cannot work in {self.folder}: {error}",
                "run the command as the user who made it, or in another folder",
            ) from error


def _make_private(folder: Path) -> None:
    """Make a folder and its missing parents, 0700 whatever the umask."""
    for path in (*reversed(folder.parents), folder):
        if not path.exists():
            path.mkdir(mode=0o700, exist_ok=True)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _shared_memory_bytes() -> float:
    """Room in /dev/shm; unlimited where there is no such thing."""
    try:
        found = os.statvfs("/dev/shm")  # noqa: S108 - only asked for its size
    except OSError:
        return float("inf")
    return found.f_bavail * found.f_frsize
