"""pgBackRest on the host of a PostgreSQL: in its container, or on this machine.

It always runs as the user who owns the data directory. Secrets stand in its configuration file,
0600 and that user's; no command line and no environment holds one.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.hosts import process
from archon_ops.hosts.described import Container
from archon_ops.hosts.engine import Engine
from archon_ops.hosts.process import Finished
from archon_ops.model.pitr.failures import failure
from archon_ops.model.pitr.stock import Stock, parse_info

PROGRAM = "pgbackrest"
_ANSWER_SECONDS = 60.0


class Host(Protocol):
    """Where PostgreSQL's files are, and who may touch them there."""

    @property
    def name(self) -> str:
        """As a plan prints it."""

    @property
    def there(self) -> str:
        """The same, as the place where something is."""

    def run(self, argv: Sequence[str], *, timeout: float, stdin: bytes | None = None) -> Finished:
        """Run a program there to its end, as the user who owns PostgreSQL's files."""

    def write(self, path: str, data: bytes, *, mode: int = 0o600) -> None:
        """Put a file of that user's there; its folder exists."""

    def read(self, path: str) -> bytes | None:
        """A file there; None where there is none."""


@dataclass(frozen=True)
class InContainer:
    """A container that runs.

    Attributes:
        engine: where.
        container: which.
        user: the one inside who owns PostgreSQL's files.
    """

    engine: Engine = field(repr=False)
    container: Container
    user: str

    @property
    def name(self) -> str:
        """As a plan prints it."""
        return f"container {self.container.name}"

    @property
    def there(self) -> str:
        """The same, as the place where something is."""
        return f"in {self.name}"

    def run(self, argv: Sequence[str], *, timeout: float, stdin: bytes | None = None) -> Finished:
        """Run a program inside as that user; its words stay those of PostgreSQL's locale C."""
        return self.engine.run(
            self.container.id, argv, timeout=timeout, stdin=stdin, user=self.user
        )

    def write(self, path: str, data: bytes, *, mode: int = 0o600) -> None:
        """Put a file of that user's inside: first under another name, so that it is never half."""
        owner = (self._id("-u"), self._id("-g"))
        where = PurePosixPath(path)
        fresh = f".{where.name}.new"
        folder = str(where.parent)
        self.engine.put_bytes(self.container.id, folder, fresh, data, mode=mode, owner=owner)
        done = self.engine.run(
            self.container.id, ("mv", "-f", f"{folder}/{fresh}", path), timeout=_ANSWER_SECONDS
        )
        _require(done, f"writing {path} in {self.name}")

    def read(self, path: str) -> bytes | None:
        """A file inside; None where there is none that the user may read."""
        done = self.run(("cat", path), timeout=_ANSWER_SECONDS)
        return done.stdout.encode() if done.returncode == 0 else None

    def _id(self, which: str) -> int:
        done = self.run(("id", which), timeout=_ANSWER_SECONDS)
        _require(done, f"asking who {self.user} is in {self.name}")
        return int(done.stdout)


@dataclass(frozen=True)
class OnThisMachine:
    """This machine, where the server of a DSN runs as well.

    Attributes:
        user: who owns PostgreSQL's files.
        folder: working directory of programs; ours may be closed to that user.
    """

    user: str
    folder: str = "/"

    @property
    def name(self) -> str:
        """As a plan prints it."""
        return "this machine"

    @property
    def there(self) -> str:
        """The same, as the place where something is."""
        return "on this machine"

    def run(self, argv: Sequence[str], *, timeout: float, stdin: bytes | None = None) -> Finished:
        """Run a program as that user: we are that one, or root, who steps down."""
        return process.run(
            (*self._step_down(), *argv), timeout=timeout, stdin=stdin, folder=self.folder
        )

    def write(self, path: str, data: bytes, *, mode: int = 0o600) -> None:
        """Put a file of that user's there, whole or not at all."""
        fresh = Path(path).with_name(f".{Path(path).name}.new")
        try:
            fresh.unlink(missing_ok=True)
            # The folder is that user's: a link that stands there is not followed.
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), mode)
                self.give(file.fileno())
                file.write(data)
            fresh.replace(path)
        except OSError as error:
            raise PreconditionError(
                f"cannot write {path}: {error.strerror}",
                f"run the command as {self.user}, or as root",
            ) from error

    def read(self, path: str) -> bytes | None:
        """A file there; None where there is none."""
        done = self.run(("cat", path), timeout=_ANSWER_SECONDS)
        return done.stdout.encode() if done.returncode == 0 else None

    def give(self, descriptor: int) -> None:
        """Make what we have opened that user's own."""
        found = self._found()
        if os.geteuid() == 0:
            os.fchown(descriptor, found.pw_uid, found.pw_gid)

    def _found(self) -> pwd.struct_passwd:
        try:
            return pwd.getpwnam(self.user)
        except KeyError as error:
            raise PreconditionError(
                f"there is no user {self.user} on this machine",
                "set pitr.user to the one that PostgreSQL runs as",
            ) from error

    def _step_down(self) -> tuple[str, ...]:
        found = self._found()
        if os.geteuid() == found.pw_uid:
            return ("env",)  # says in the same way that there is no such program
        if os.geteuid() != 0:
            raise PreconditionError(
                f"PostgreSQL's files belong to {self.user}, and only that user may back them up",
                f"run the command as {self.user}, or as root",
            )
        return (
            "setpriv",
            f"--reuid={found.pw_uid}",
            f"--regid={found.pw_gid}",
            "--init-groups",
            "--",
        )


@dataclass(frozen=True)
class PgBackRest:
    """pgBackRest with one configuration, on one host.

    Attributes:
        host: where it runs.
        stanza: what it works on.
        config: its configuration file there.
    """

    host: Host
    stanza: str
    config: str

    def argv(self, command: str, *args: str) -> tuple[str, ...]:
        """The command line; it holds no secret."""
        return (PROGRAM, f"--config={self.config}", f"--stanza={self.stanza}", *args, command)

    def run(
        self,
        command: str,
        *args: str,
        timeout: float = _ANSWER_SECONDS,
        positional: tuple[str, ...] = (),
    ) -> str:
        """Run a command to its end; what it printed.

        Args:
            command: backup, check, …
            args: its options.
            timeout: seconds until it is given up.
            positional: what stands behind the command.

        Raises:
            OpsError: it failed; says why and what to do.
        """
        done = self.tried(command, *args, timeout=timeout, positional=positional)
        if done.returncode != 0:
            text = f"{done.stderr}\n{done.stdout}"
            raise failure(command, self.stanza, self.host.name, text, done.returncode)
        return done.stdout

    def tried(
        self,
        command: str,
        *args: str,
        timeout: float = _ANSWER_SECONDS,
        positional: tuple[str, ...] = (),
    ) -> Finished:
        """The same, without a judgement on how it ended.

        Raises:
            PreconditionError: there is no such program.
        """
        done = self.host.run((*self.argv(command, *args), *positional), timeout=timeout)
        if done.returncode in (126, 127):
            raise not_installed(self.host)
        return done

    def version(self) -> str:
        """As it prints it ("2.55.1").

        Raises:
            PreconditionError: there is no such program.
        """
        done = self.host.run((PROGRAM, "version"), timeout=_ANSWER_SECONDS)
        if done.returncode != 0:
            raise not_installed(self.host)
        return done.stdout.split()[-1]

    def info(self, timeout: float = _ANSWER_SECONDS) -> Stock:
        """What the repositories hold; an empty stock where the stanza was never made."""
        return parse_info(self.run("info", "--output=json", timeout=timeout), self.stanza)


def free_bytes(host: Host, folder: str) -> int | None:
    """Room in a folder of a host; None where that cannot be told."""
    done = host.run(("df", "-Pk", folder), timeout=_ANSWER_SECONDS)
    fields = done.stdout.splitlines()[-1].split() if done.returncode == 0 else []
    return int(fields[3]) * 1024 if len(fields) > 3 and fields[3].isdigit() else None


def not_installed(host: Host) -> PreconditionError:
    """The error for a host without pgBackRest."""
    return PreconditionError(
        f"there is no pgbackrest {host.there}",
        "inv pitr.setup shows how it gets there, so that it stays",
    )


def _require(done: Finished, what: str) -> None:
    if done.returncode != 0:
        raise OpsError(f"{what} failed: {done.reason}")
