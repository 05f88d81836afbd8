"""Whether the process that began something still exists."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from archon_ops.model.runs import RunRecord

# The kernel counts in ticks and the boot time is rounded to a second.
_ROUNDING = timedelta(seconds=2)


def is_alive(record: RunRecord) -> bool:
    """Whether the process of a run exists; on another host it is taken to.

    A process id is used again after a while, and after a reboot at once: a process that began
    after the run did is another one.
    """
    if record.host != socket.gethostname():
        return True
    try:
        os.kill(record.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it exists and belongs to somebody else
    began = _process_start(record.pid)
    return began is None or began <= record.started_at + _ROUNDING


def _process_start(pid: int) -> datetime | None:
    """UTC time at which a process began; None where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = next(
            int(line.split()[1])
            for line in Path("/proc/stat").read_text().splitlines()
            if line.startswith("btime ")
        )
    except (OSError, StopIteration):
        return None
    ticks = int(fields[19])  # field 22 of the line, the 20th behind the program's name
    return datetime.fromtimestamp(boot + ticks / os.sysconf("SC_CLK_TCK"), UTC)
