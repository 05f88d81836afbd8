"""The dashboard on whatever there is: a terminal, or only something to print on."""

from __future__ import annotations

import shutil
import signal
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from archon_ops.cli.alerts import say
from archon_ops.cli.stream import ascii_only
from archon_ops.errors import ExitCode, InterruptedByUser
from archon_ops.monitor import alerts
from archon_ops.monitor.panel import DRAWN, PLAIN, Glyphs, panel

if TYPE_CHECKING:
    from archon_ops.cli.command import Run
    from archon_ops.monitor.watch import Watch
    from archon_ops.settings import Settings

_ENDING_SECONDS = 5.0


def print_once(run: Run, settings: Settings, watched: Watch) -> ExitCode:
    """Print the panel as plain text, and say what is new."""
    now = datetime.now(UTC)
    views = watched.look(now)
    width = shutil.get_terminal_size((100, 24)).columns
    lines = panel(views, width, _glyphs())
    run.console.data("".join(f"{line.text.rstrip()}\n" for line in lines))
    say(run, alerts.alert(settings, views, now))
    return ExitCode.DONE


def show(run: Run, settings: Settings, watched: Watch, seconds: float) -> int:
    """Show the panel until somebody leaves it.

    Raises:
        InterruptedByUser: a signal asked to stop.
    """
    from archon_ops.monitor.dashboard import Dashboard, Looking
    from archon_ops.monitor.ending import ending

    looking = Looking(
        look=watched.look,
        say=lambda views, now: alerts.alert(settings, views, now),
        clock=lambda: datetime.now(UTC),
        seconds=seconds,
        glyphs=_glyphs(),
    )
    app = Dashboard(looking)
    with ending(app.end, _ENDING_SECONDS):
        code = app.run()
    for line in app.said:
        run.console.say(line)
    if code:
        name = signal.Signals(code - 128).name
        raise InterruptedByUser(f"stopped by {name}", terminated=True)
    return app.return_code or ExitCode.DONE


def _glyphs() -> Glyphs:
    return PLAIN if ascii_only(sys.stdout) else DRAWN
