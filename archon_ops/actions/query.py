"""psql on the source, for a person or for one statement."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

from archon_ops.hosts import process
from archon_ops.site import Site

# A person may leave a psql open for days; even so it ends some time.
_SESSION_SECONDS = 30 * 24 * 3600.0


def psql(site: Site, command: str | None) -> int:
    """Run psql on our own terminal; its exit status.

    Args:
        site: where.
        command: SQL to run and leave; None for an interactive session.
    """
    one = ("--no-psqlrc", "-qAt", "--set=ON_ERROR_STOP=1", f"--command={command}")
    args = one if command is not None else ()
    with site.server() as server, _interrupts_left_to_psql(command is None):
        argv = server.programs.command_line(
            "psql", *args, database=site.database, terminal=command is None
        )
        return process.attach(argv, env=server.foreground_environment(), timeout=_SESSION_SECONDS)


@contextlib.contextmanager
def _interrupts_left_to_psql(interactive: bool) -> Iterator[None]:
    """Ctrl-C in a session cancels a query there and must not end us."""
    if not interactive or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
