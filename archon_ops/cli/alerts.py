"""One look for alerts, or many, as the command says them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from archon_ops.errors import ExitCode, OpsError
from archon_ops.model.health import Level, exit_code
from archon_ops.monitor import alerts

if TYPE_CHECKING:
    from archon_ops.cli.command import Run
    from archon_ops.monitor.alerts import Sent
    from archon_ops.monitor.watch import Watch
    from archon_ops.settings import Settings


def look(run: Run, settings: Settings, watched: Watch) -> ExitCode:
    """Look once and say what is new; the exit code is that of the worst level."""
    refresh_pitr(run, settings, watched)
    now = datetime.now(UTC)
    views = watched.look(now)
    sent = alerts.alert(settings, views, now)
    say(run, sent)
    if run.options.verbose:  # otherwise what is not new is not said: cron would mail it each time
        for view in views:
            run.console.info(f"{view.name}: {view.level or 'not available'}: {view.message}")
    level = alerts.worst(views)
    if run.options.json:
        run.console.json(
            {
                "level": level,
                "sources": [
                    {
                        "source": view.key,
                        "display_name": view.name,
                        "health": view.level,
                        "message": view.message,
                        "reasons": view.reasons,
                    }
                    for view in views
                ],
                **_document(sent),
            }
        )
    return exit_code(level, Level.AGING)


def look_again(run: Run, settings: Settings, watched: Watch, every: float) -> None:
    """Look until a signal ends it."""
    run.console.info(f"looking every {every:g} s; Ctrl-C ends it")
    while True:
        refresh_pitr(run, settings, watched)
        now = datetime.now(UTC)
        say(run, alerts.alert(settings, watched.look(now), now))
        time.sleep(every)


def refresh_pitr(run: Run, settings: Settings, watched: Watch) -> None:
    """Look at the archivers of those sources that have point-in-time recovery.

    Only this asks their servers; all others are told what was seen.
    """
    from archon_ops.actions.pitr.watch import refresh
    from archon_ops.model.report import Silent
    from archon_ops.settings import load
    from archon_ops.site import make_site

    for reader in watched.readers:
        name = reader.watched.name
        if settings.sources[name].pitr.repositories:
            try:
                refresh(make_site(load(source=name), Silent()))
            except OpsError as error:
                run.console.warn(f"{name}: what was seen cannot be kept: {error.message}")


def try_channels(run: Run, settings: Settings, watched: Watch) -> ExitCode:
    """Send a message through every channel; failed when one did not arrive."""
    now = datetime.now(UTC)
    sent = alerts.send_test(settings, watched.look(now), now)
    if run.options.json:
        run.console.json(_document(sent))
    for channel, problem in sent.channels.items():
        if problem:
            run.console.warn(f"{channel}: did not arrive: {problem}")
        else:
            run.console.ok(f"{channel}: arrived")
    for problem in sent.problems:
        run.console.warn(f"not written down: {problem}")
    return ExitCode.FAILED if any(sent.channels.values()) else ExitCode.DONE


def say(run: Run, sent: Sent) -> None:
    """Say what was sent, and what did not arrive."""
    for message in sent.messages:
        if message.severity == "INFO":
            run.console.info(message.console)
        else:
            run.console.warn(message.console)
    for channel, problem in sent.channels.items():
        if problem:
            run.console.warn(f"channel {channel}: did not arrive: {problem}")
    for problem in sent.problems:
        run.console.warn(f"not written down: {problem}")


def _document(sent: Sent) -> dict[str, object]:
    return {
        "messages": [
            {"severity": message.severity, "text": message.console} for message in sent.messages
        ],
        "channels": [
            {"channel": name, "arrived": problem == "", "problem": problem}
            for name, problem in sent.channels.items()
        ],
    }
