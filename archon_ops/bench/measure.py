"""Run a program as a whole and take the operating system's own figures of it."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archon_ops.errors import OpsError
from archon_ops.hosts.process import environment


@dataclass(frozen=True)
class Figures:
    """One run of a program.

    Attributes:
        wall_seconds: from its start to its end, output brought to the disk.
        peak_bytes: largest resident size of the program itself, or of a child that it waited for.
    """

    wall_seconds: float
    peak_bytes: int


def measured(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    input: Path | None = None,
    output: Path | None = None,
    timeout: float = 3600.0,
) -> Figures:
    """Run a program to its end.

    Args:
        argv: program and arguments.
        cwd: its working directory.
        env: variables on top of the usual ones.
        input: file for its standard input.
        output: file for its standard output, brought to the disk within the measured time.
        timeout: seconds until it is stopped.

    Raises:
        OpsError: it failed, or did not end in time.
    """
    null = Path(os.devnull)
    with (output or null).open("wb") as file, (input or null).open("rb") as source:
        began = time.monotonic()
        popen = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=environment(env),
            stdin=source,
            stdout=file,
            stderr=subprocess.PIPE,
        )
        said = _drained(popen, timeout)
        _, status, usage = os.wait4(popen.pid, 0)
        popen.returncode = os.waitstatus_to_exitcode(status)
        if output is not None:
            os.fsync(file.fileno())
        wall = time.monotonic() - began
    if popen.returncode != 0:
        raise OpsError(f"{argv[0]} ended with {popen.returncode}: {said[-300:].strip()}")
    return Figures(wall, usage.ru_maxrss * 1024)


def _drained(popen: subprocess.Popen[bytes], timeout: float) -> str:
    """All of its standard error; the program is killed when that does not end in time."""
    timer = threading.Timer(timeout, popen.kill)
    timer.start()
    try:
        stderr = popen.stderr
        return stderr.read().decode(errors="replace") if stderr else ""
    finally:
        timer.cancel()
        if popen.stderr:
            popen.stderr.close()


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)
