"""Where a notebook finds its run: the command's that executes it, or one of its own in Jupyter."""

from __future__ import annotations

import atexit
import os
import socket
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from archon_ops.errors import PreconditionError, UsageError
from archon_ops.model.units import zulu
from archon_ops.runbook import ticket as tickets
from archon_ops.runbook.journal import Events
from archon_ops.runbook.narrator import Narrator
from archon_ops.runbook.session import MODES, Session
from archon_ops.runbook.ticket import BY_HAND, Ticket
from archon_ops.settings import Settings, lab_root, load, run_folder
from archon_ops.site import make_site
from archon_ops.storage.folders import ensure_folder
from archon_ops.storage.journal import new_run_id


def begin(runbook: str, *, source: str = "", mode: str = "drill", confirm: str = "") -> Session:
    """The session of a notebook: its third line.

    Args:
        runbook: name of the notebook.
        source: name of the source; empty: as configured.
        mode: "drill" or "live".
        confirm: the target as the plan spells it, in live mode.

    Raises:
        UsageError: no such mode or source.
    """
    if mode not in MODES:
        raise UsageError(f"mode {mode!r} does not exist", f"it is one of: {', '.join(MODES)}")
    ticket, folder, settings = _ticket_of(runbook, source or None, mode)
    events = Events(folder)
    site = replace(make_site(settings, Narrator(events)), run_id=ticket.run_id)
    session = Session(site, ticket, events, confirm)
    _watch(session)
    return session


def _ticket_of(runbook: str, source: str | None, mode: str) -> tuple[Ticket, Path, Settings]:
    """The run that a notebook belongs to, its folder, and the settings.

    Raises:
        UsageError: the settings are malformed, or name no such source.
        PreconditionError: the folder of the run that executes it cannot be read.
    """
    settings = load(lab_root(), source=source)
    folder = run_folder()
    if folder is None:
        return _own(settings, runbook, mode)
    ticket = tickets.read(folder)
    if ticket is None:
        raise PreconditionError(f"{folder} is no folder of a run", "inv runbook NAME")
    return replace(ticket, mode=mode), folder, load(source=source or ticket.source)


def _own(settings: Settings, runbook: str, mode: str) -> tuple[Ticket, Path, Settings]:
    now = datetime.now(UTC)
    ticket = Ticket(
        run_id=new_run_id(now),
        runbook=runbook,
        source=settings.source,
        mode=mode,
        trigger=BY_HAND,
        started_at=zulu(now),
        pid=os.getpid(),
        host=socket.gethostname(),
        template="",
        template_state=BY_HAND,
        parameters={},
    )
    folder = new_folder(settings, ticket.run_id)
    ticket.write(folder)
    return ticket, folder, settings


def new_folder(settings: Settings, run_id: str) -> Path:
    """A folder of one's own for what a run writes while it runs.

    Raises:
        PreconditionError: it cannot be made.
    """
    place = settings.state / "runs"
    for folder in (settings.state, place, place / run_id):
        ensure_folder(folder)
    return place / run_id


def _watch(session: Session) -> None:
    """Let nothing that the session holds outlive a failing cell, or the kernel."""
    atexit.register(session.close)
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        return
    shell.InteractiveTB.set_mode(mode="Minimal")

    def after_cell(result: Any) -> None:
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            session.failed(error)
            session.close()

    shell.events.register("post_run_cell", after_cell)
