"""The one server process of a cluster: whether it lives, how it starts, answers and stops.

It lives exactly as long as the kernel holds `server.lock` for it: the lock is taken before the
start, inherited by the server and its children, and gone with the last of them. A process id would
prove nothing: after a crash or a reboot it may belong to anybody.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.hosts import flock, process
from archon_ops.postgres import socket_folder
from archon_ops.postgres.tools import Tools

SUPERUSER = "postgres"

_POLL_SECONDS = 0.02
_ANSWER_SECONDS = 3
_KILL_SECONDS = 15.0
_LOG_LIMIT = 10 * 1024 * 1024
_LOG_LINES = 3


@dataclass(frozen=True)
class Address:
    """Where a server listens: libpq's host (here a folder), port and user."""

    host: str
    port: int
    user: str


@dataclass(frozen=True)
class Postmaster:
    """The server process of the cluster in `folder`; every decision is its caller's.

    Attributes:
        tools: programs with a server among them.
        folder: the cluster's folder, absolute.
    """

    tools: Tools
    folder: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return self.folder / "server.log"

    @contextlib.contextmanager
    def own_lock(self) -> Iterator[int | None]:
        """The server's lock, None while it is somebody's; on leaving only heirs keep it."""
        lock = flock.open_lock(self.folder / "server.lock")
        try:
            yield lock if flock.take(lock) else None
        finally:
            os.close(lock)

    def alive(self) -> bool:
        """Whether any process of the server lives."""
        with self.own_lock() as lock:
            return lock is None

    def start(self, settings: Mapping[str, str]) -> None:
        """Start it in the background, unless it lives; `answers` tells when it is ready.

        Raises:
            PreconditionError: a server that was started by other means works on the data.
            OpsError: the start failed at once.
        """
        self.refuse_stranger()
        with self.own_lock() as lock:
            if lock is not None:
                self._start(settings, lock)

    def _start(self, settings: Mapping[str, str], lock: int) -> None:
        # The lock proves that whatever process the file names is not a server of this data.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.folder / "server.log.old")
        with socket_folder.fresh(self.folder) as short:
            where = {"unix_socket_directories": str(short.parent), "port": str(socket_folder.PORT)}
            words = [f"--{name}={value}" for name, value in {**where, **settings}.items()]
            argv = self.tools.server_argv("postgres", "-D", str(short / "data"), *words)
            process.detach(argv, log=self.log, keep=(lock,))

    def answers(self) -> Address | None:
        """Its address once it accepts connections; None until then.

        Raises:
            PreconditionError: somebody else could listen in its socket folder.
        """
        folder = socket_folder.recorded(self.folder)
        if folder is None:
            return None
        socket_folder.check_private(folder)
        address = Address(str(folder), socket_folder.PORT, SUPERUSER)
        where = (f"--host={address.host}", f"--port={address.port}")
        argv = self.tools.argv("pg_isready", *where, f"--timeout={_ANSWER_SECONDS}")
        return address if process.run(argv, timeout=_KILL_SECONDS).returncode == 0 else None

    def unreachable(self) -> bool:
        """Whether it is ready and its socket was deleted: nobody will ever reach it."""
        folder = socket_folder.recorded(self.folder)
        ready = self._pid_file()[7:8] == ["ready"]
        return ready and (folder is None or not socket_folder.has_socket(folder))

    def stop(self, seconds: float, *, now: bool = False) -> None:
        """End it, and remove its socket folder.

        Args:
            seconds: how long an orderly end may take; after that it is ended at once.
            now: end it at once, as a power failure would; the next start recovers.

        Raises:
            OpsError: it is still there.
        """
        in_order = not now and self._end(signal.SIGINT, seconds)
        if not in_order and not self._end(signal.SIGQUIT, _KILL_SECONDS):
            raise OpsError(f"PostgreSQL in {self.folder} does not stop", f"look at {self.log}")
        socket_folder.sweep(self.folder)

    def _end(self, how: signal.Signals, seconds: float) -> bool:
        def ended() -> bool:
            if not self.alive():
                return True
            self._signal(how)  # each time: one that is just starting has no pid file yet
            return False

        return wait_until(ended, seconds)

    def _signal(self, how: signal.Signals) -> None:
        pid = self._pid()
        if pid is not None and _works_in(pid, self.data) is not False:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)

    def refuse_stranger(self) -> None:
        """Make sure that no server works on the data but one that this tool started.

        Raises:
            PreconditionError: one does.
        """
        pid = self._pid()
        if pid is not None and not self.alive() and _works_in(pid, self.data):
            raise PreconditionError(
                f"process {pid} works on {self.data}, and this tool did not start it",
                f"stop it first: kill -INT {pid}",
            )

    def said(self) -> str:
        """The last lines of its log, as one."""
        return " | ".join(_lines(self.log)[-_LOG_LINES:])

    def _pid(self) -> int | None:
        lines = self._pid_file()
        return int(lines[0]) if lines and lines[0].isdecimal() else None

    def _pid_file(self) -> list[str]:
        return _lines(self.data / "postmaster.pid")


def wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    """Whether something comes true within a deadline; it is looked at often."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _works_in(pid: int, data: Path) -> bool | None:
    """Whether a process has the data directory as its own; None where that cannot be seen."""
    if not Path("/proc/self/cwd").exists():
        return None
    try:
        return Path(f"/proc/{pid}/cwd").samefile(data)
    except OSError:
        return False


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(errors="replace").splitlines()]
    except FileNotFoundError:
        return []
