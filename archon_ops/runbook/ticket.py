"""What a command hands to the notebook that it executes, through a file in the run's folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from archon_ops.storage.atomic import write_atomic

BY_HAND = "by hand in Jupyter"
_NAME = "run.json"


@dataclass(frozen=True)
class Ticket:
    """One run of a runbook.

    Attributes:
        run_id: names it everywhere.
        runbook: name of the notebook.
        source: name of the source.
        mode: "drill" or "live".
        trigger: who or what began it, in words.
        started_at: UTC, RFC 3339.
        pid: process that executes it, and the host it is on.
        host: see `pid`.
        template: SHA-256 of the notebook's cells before it ran.
        template_state: "as shipped", "changed" or "own".
        parameters: those that were given.
    """

    run_id: str
    runbook: str
    source: str
    mode: str
    trigger: str
    started_at: str
    pid: int
    host: str
    template: str
    template_state: str
    parameters: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Put it into the run's folder.

        Raises:
            PreconditionError: the folder refuses.
        """
        data = json.dumps(asdict(self), indent=2).encode() + b"\n"
        write_atomic(folder / _NAME, data, self.run_id)


def read(folder: Path) -> Ticket | None:
    """The ticket in a run's folder; None where there is none that can be read."""
    try:
        return Ticket(**json.loads((folder / _NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
