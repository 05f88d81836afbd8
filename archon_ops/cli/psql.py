"""A look into the database."""

from __future__ import annotations

from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode, UsageError


@command(
    name="psql",
    json=False,
    help={"command": "SQL to run; prints what psql -XqAt prints, and nothing else"},
)
def psql(run: Run, command: str | None = None) -> ExitCode:
    """Open psql on the source, or run one command."""
    from archon_ops.actions.query import psql as action
    from archon_ops.cli.shared import site_of

    if command is not None and not command.strip():
        raise UsageError("--command is empty")
    return ExitCode.FAILED if action(site_of(run), command) else ExitCode.DONE
