"""Watching backups: the API and what shows or reports them."""

from __future__ import annotations

import sys

from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode, UsageError

_LOCAL = ("127.0.0.1", "::1", "localhost")


@command(
    json=False,
    help={
        "host": "address to listen on (127.0.0.1)",
        "port": "TCP port (8182)",
        "backup_dir": "another directory than the source's",
    },
)
def serve(
    run: Run, host: str = "127.0.0.1", port: int = 8182, backup_dir: str | None = None
) -> None:
    """Serve the monitoring API and the metrics of all sources; nothing is ever written."""
    from archon_ops.cli.shared import folder_of
    from archon_ops.monitor.api import PREFIX, Sources, application
    from archon_ops.monitor.serve import serve as action
    from archon_ops.settings import load

    settings = load(source=run.options.source)
    sources = Sources(settings, folder_of(backup_dir))
    if host not in _LOCAL:
        run.console.warn(f"whoever reaches {host} can read names and sizes of the backups")

    sources.warm(settings.watched_names)

    def ready(address: str, number: int) -> None:
        shown = f"[{address}]" if ":" in address else address
        run.console.info(f"serving {settings.source} at http://{shown}:{number}{PREFIX}/status")

    action(application(settings, sources), host, port, ready)


@command(
    positional="folder",
    name="monitor-files",
    help={"folder": "where to write them"},
)
def monitor_files(run: Run, folder: str) -> None:
    """Write alert rules, a Grafana dashboard, and a compose snippet for the API."""
    from pathlib import Path

    from archon_ops.monitor.export import export

    written = export(Path(folder).expanduser().absolute())
    if run.options.json:
        run.console.json({"written": written})
        return
    for path in written:
        run.console.info(f"written: {path}")


@command(
    help={
        "watch": "look again and again, until it is stopped",
        "every": "seconds between two looks with --watch (60)",
        "test": "send one message through every channel and say which arrived",
        "also": "another source, or the URL of an API (…/api/backup/status)",
    }
)
def alert(
    run: Run,
    watch: bool = False,
    every: float = 60.0,
    test: bool = False,
    also: tuple[str, ...] = (),
) -> ExitCode:
    """Say what is wrong with the backups: on change, then daily; exit 6 (warning) or 7."""
    from archon_ops.cli.alerts import look, look_again, try_channels
    from archon_ops.monitor.watch import watch as watch_of
    from archon_ops.settings import load

    if watch and (test or run.options.json):
        raise UsageError("--watch goes with neither --test nor --json")
    if not 1 <= every <= 86400:
        raise UsageError(f"--every {every:g}: seconds, from 1 to 86400")
    settings = load(source=run.options.source)
    watched = watch_of(settings, also)
    if test:
        return try_channels(run, settings, watched)
    if watch:
        look_again(run, settings, watched, every)
    return look(run, settings, watched)


@command(
    json=False,
    help={
        "refresh": "seconds between two looks (10)",
        "also": "another source, or the URL of an API (…/api/backup/status)",
    },
)
def dashboard(run: Run, refresh: float = 10.0, also: tuple[str, ...] = ()) -> int:
    """Show the state of all backups, kept up to date; without a terminal it is printed once."""
    from archon_ops.cli.dashboard import print_once, show
    from archon_ops.cli.stream import movable, terminal
    from archon_ops.monitor.watch import watch as watch_of
    from archon_ops.settings import load

    if not 1 <= refresh <= 86400:
        raise UsageError(f"--refresh {refresh:g}: seconds, from 1 to 86400")
    settings = load(source=run.options.source)
    watched = watch_of(settings, also)
    if not (terminal(sys.stdin) and movable(sys.stdout) and terminal(sys.stderr)):
        return print_once(run, settings, watched)
    return show(run, settings, watched, refresh)
