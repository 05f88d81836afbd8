"""The door to local programs: argument lists only, always a deadline, never a leftover child."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from archon_ops.errors import OpsError, PreconditionError

# A child that was asked to stop gets this long to cancel its query on the server.
GRACE_SECONDS = 10.0
# Tools may print a line for every object; only the end of it says what went wrong.
STDERR_LIMIT = 64 * 1024
_BLOCK = 1 << 20
# Keys of Azure's and Google's stores.
_OF_STORES = ("AZURE_STORAGE_", "AZURE_CLIENT_SE", "GOOGLE_SERVICE_ACCOUNT")
_NOT_FOR_CHILDREN = ("PG", "ARCHON_", "ENCRYPTION_KEY", "SUPABASE_", "AWS_SE", *_OF_STORES)


@dataclass(frozen=True)
class Finished:
    """What a program left behind: its exit status and everything that it said."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    @property
    def reason(self) -> str:
        """The last line of standard error, else the exit status: one line for a person."""
        lines = [line for line in self.stderr.splitlines() if line.strip()]
        return lines[-1].strip() if lines else f"exit status {self.returncode}"


def environment(
    extra: Mapping[str, str] | None = None, only: Collection[str] | None = None
) -> dict[str, str]:
    """The environment of a child: ours less what it must not have, C messages, then `extra`.

    PG* variables of the caller would silently redirect a tool to another server, and no tool
    needs our own settings or Archon's keys, which hold secrets.

    Args:
        extra: variables on top.
        only: names of those of ours that it gets; None for all that it may have.
    """
    kept = {
        key: value
        for key, value in os.environ.items()
        if (key in only if only is not None else not key.startswith(_NOT_FOR_CHILDREN))
    }
    return {**kept, "LC_ALL": "C", "LANGUAGE": "C", **(extra or {})}


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    keep: Sequence[int] = (),
    folder: str | None = None,
) -> Finished:
    """Run a program to its end.

    Args:
        argv: program and arguments; no shell ever sees them.
        timeout: seconds until it is stopped.
        env: variables on top of `environment()`.
        stdin: bytes for its standard input; None closes it.
        keep: open files that it inherits, a lock that it must hold as long as it lives.
        folder: its working directory; None: ours.

    Raises:
        PreconditionError: the program does not exist or may not be run.
        OpsError: it did not end within the deadline.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin if stdin is not None else b"",
            capture_output=True,
            timeout=timeout,
            env=environment(env),
            check=False,
            pass_fds=keep,
            cwd=folder,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise PreconditionError(f"cannot run {argv[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise OpsError(f"{argv[0]} did not end within {timeout:.0f} s") from error
    return Finished(
        tuple(argv),
        done.returncode,
        done.stdout.decode(errors="replace"),
        done.stderr.decode(errors="replace"),
    )


# The launcher forks and leaves: the program becomes nobody's child, so nobody must wait for it,
# and it leads a session of its own, so no terminal can interrupt it.
_LAUNCHER = """
import os, sys
if os.fork() == 0:
    os.setsid()
    os.execvp(sys.argv[1], sys.argv[1:])
"""


def detach(
    argv: Sequence[str],
    *,
    log: Path,
    keep: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
) -> None:
    """Start a program that outlives us and has nothing of ours but the files in `keep`.

    A program that cannot be run says so in `log`; a lock in `keep` is then free again.

    Args:
        argv: program and arguments.
        log: file (0600) that its standard output and error are appended to.
        keep: open files that it inherits, a lock that tells others that it lives.
        env: variables on top of `environment()`.

    Raises:
        OpsError: not even the launcher could be started.
    """
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", _LAUNCHER, *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(env),
            pass_fds=keep,
            start_new_session=True,
            check=True,
            timeout=GRACE_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise OpsError(f"cannot start {argv[0]}: {error}") from error
    finally:
        os.close(output)


class Child:
    """A running program whose standard output, if piped, is read as it comes."""

    def __init__(self, popen: subprocess.Popen[bytes], stderr: IO[bytes]) -> None:
        self._popen = popen
        self._stderr = stderr

    @property
    def pid(self) -> int:
        """The process id of the program."""
        return self._popen.pid

    def blocks(self, seconds: float) -> Iterator[bytes]:
        """Standard output in blocks of at most 1 MB, until it ends.

        Args:
            seconds: how long the next block may take.

        Raises:
            OpsError: nothing came for that long.
        """
        pipe = self._popen.stdout
        if pipe is None:
            raise ValueError("standard output of this child is not a pipe")
        while True:
            if not select.select([pipe], [], [], seconds)[0]:
                name = os.path.basename(self._program)  # noqa: PTH119 - a name, not a path
                raise OpsError(
                    f"{name} sent nothing for {seconds:.0f} s",
                    "look at the network and at the server's load",
                )
            block = os.read(pipe.fileno(), _BLOCK)
            if not block:
                return
            yield block

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._popen.poll() is None

    def wait(self, timeout: float) -> Finished:
        """Wait for the end.

        Raises:
            OpsError: it did not end within `timeout` seconds.
        """
        try:
            code = self._popen.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise OpsError(f"{self._program} did not end within {timeout:.0f} s") from error
        return Finished(tuple(map(str, self._argv)), code, "", self.said())

    def pause(self, seconds: float) -> None:
        """Sleep until it ends, at most `seconds`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(seconds)

    def said(self) -> str:
        """The end of what it wrote to standard error so far."""
        size = os.fstat(self._stderr.fileno()).st_size
        return os.pread(self._stderr.fileno(), STDERR_LIMIT, max(0, size - STDERR_LIMIT)).decode(
            errors="replace"
        )

    def stop(self) -> None:
        """Ask it to end (PostgreSQL's tools then cancel on the server), then insist."""
        if not self.running():
            return
        self._popen.send_signal(signal.SIGTERM)
        try:
            self._popen.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait(GRACE_SECONDS)

    @property
    def _argv(self) -> Sequence[object]:
        args = self._popen.args
        return args if isinstance(args, list | tuple) else [args]

    @property
    def _program(self) -> str:
        return str(self._argv[0])


@contextlib.contextmanager
def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
    pipe: bool = False,
    keep: Sequence[int] = (),
) -> Iterator[Child]:
    """Start a program; on leaving the block it has ended, whatever happened inside.

    It runs in a session of its own, so that Ctrl-C reaches us alone and we end it in order.
    Standard error goes to an unnamed file: a pipe that nobody empties would stall it.

    Args:
        argv: program and arguments.
        env: variables on top of `environment()`.
        only: names of those of our variables that it gets; None for all that it may have.
        pipe: whether standard output is ours to read; otherwise it is discarded.
        keep: open files that it inherits.

    Raises:
        PreconditionError: the program does not exist or may not be run.
    """
    with tempfile.TemporaryFile() as stderr:
        try:
            popen = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe else subprocess.DEVNULL,
                stderr=stderr,
                env=environment(env, only),
                start_new_session=True,
                pass_fds=keep,
            )
        except (FileNotFoundError, PermissionError) as error:
            raise PreconditionError(f"cannot run {argv[0]}: {error.strerror}") from error
        child = Child(popen, stderr)
        try:
            yield child
        finally:
            try:
                child.stop()
            except KeyboardInterrupt:  # a signal while it was being stopped: it still has to end
                child.stop()
                raise
            finally:
                if popen.stdout is not None:
                    popen.stdout.close()


def attach(argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None) -> int:
    """Run a program on our own terminal: it inherits standard input, output and error.

    Ctrl-C reaches it as well as us, as one expects of a program in the foreground.

    Args:
        argv: program and arguments.
        timeout: seconds until it is stopped.
        env: variables on top of `environment()`.

    Returns:
        Its exit status; 128 + N when signal N ended it, as shells say it.

    Raises:
        PreconditionError: the program does not exist or may not be run.
        OpsError: it did not end within the deadline.
    """
    try:
        popen = subprocess.Popen(list(argv), env=environment(env))
    except (FileNotFoundError, PermissionError) as error:
        raise PreconditionError(f"cannot run {argv[0]}: {error.strerror}") from error
    try:
        code = popen.wait(timeout)
    except subprocess.TimeoutExpired as error:
        raise OpsError(f"{argv[0]} did not end within {timeout:.0f} s") from error
    finally:
        _end(popen)
    return code if code >= 0 else 128 - code


def _end(popen: subprocess.Popen[bytes]) -> None:
    """Ask a program to end, then insist; nothing when it has ended."""
    if popen.poll() is None:
        popen.terminate()
        try:
            popen.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait(GRACE_SECONDS)
