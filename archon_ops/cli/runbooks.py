"""Runbooks that run."""

from __future__ import annotations

from pathlib import Path

from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode, UsageError


@command()
def runbooks(run: Run) -> None:
    """List the runbooks: expected time, data at risk, when last executed, with which verdict."""
    from archon_ops.cli.shared import site_of
    from archon_ops.runbook.overview import overview

    site = site_of(run)
    rows = overview(site)
    if run.options.json:
        run.console.json({"source": site.name, "runbooks": rows})
        return
    last = ("last run", "verdict", "recovery took")
    run.console.table(
        f"Runbooks for {site.name}",
        ("runbook", "what it is for", "expected", "data at risk", *last),
        [
            (r.name, r.title, r.expected, r.loss, r.last_run, r.last_verdict, r.last_recovery)
            for r in rows
        ],
    )


@command(
    positional="name",
    help={"name": "which; inv runbooks lists them", "p": "a parameter of it, as key=value"},
)
def runbook(run: Run, name: str, p: tuple[str, ...] = ()) -> ExitCode:
    """Execute a runbook, and keep the evidence."""
    return _execute(run, name, p)


@command(
    help={
        "all": "run every drill that there is, one after the other",
        "from_": "take the newest copy from there: offsite (all places), a place, or a URL",
        "identity": "file with the private age key of that copy",
    }
)
def drill(
    run: Run, all: bool = False, from_: str | None = None, identity: str | None = None
) -> ExitCode:
    """Restore the newest trustworthy backup into a sandbox, prove it equal, and time that."""
    if all and from_:
        raise UsageError("--all and --from exclude each other")
    if not all:
        return _execute(run, "drill", _elsewhere(run, from_, identity))
    from archon_ops.actions.status import require_made
    from archon_ops.cli.shared import site_of
    from archon_ops.cli.verdict import told_all, trigger
    from archon_ops.runbook.run import run_all

    site = site_of(run)
    require_made(site)
    run.console.banner("All drills", site.display_name)
    return told_all(run, run_all(site, trigger=trigger()))


@command(
    json=False,
    help={"port": "port of JupyterLab, on this machine only", "no_browser": "open no browser"},
)
def lab(run: Run, port: int = 8888, no_browser: bool = False) -> int:
    """Open JupyterLab at the runbooks, to read them or to go through one by hand."""
    from archon_ops.cli.shared import site_of
    from archon_ops.runbook.lab import lab as action

    return action(site_of(run), port, browser=not no_browser)


def _elsewhere(run: Run, place: str | None, identity: str | None) -> tuple[str, ...]:
    """Parameters for a copy offsite; relative paths are told from where the person is."""
    if not place:
        if identity:
            raise UsageError("--identity opens copies from elsewhere", "add --from PLACE")
        return ()
    from archon_ops.actions.offsite.places import EVERYWHERE, spelled
    from archon_ops.cli.shared import site_of

    name = place.removeprefix(f"{EVERYWHERE}:")
    given = [f"offsite={name if name == EVERYWHERE else spelled(site_of(run), name)}"]
    if identity:
        given.append(f"identity={Path(identity).expanduser().absolute()}")
    return tuple(given)


def _execute(run: Run, name: str, given: tuple[str, ...]) -> ExitCode:
    from archon_ops.actions.status import require_made
    from archon_ops.cli.shared import site_of
    from archon_ops.cli.verdict import told, trigger
    from archon_ops.runbook.run import run as action

    site = site_of(run)
    require_made(site)
    run.console.banner(f"Runbook {name}", site.display_name)
    ran = action(site, name, given, trigger=trigger())
    told(run, ran)
    return ran.verdict.exit_code
