"""The evidence of runbooks: what there is, whether it is what it was, and a pack for auditors."""

from __future__ import annotations

from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode


@command(default=True, name="list")
def list_(run: Run) -> None:
    """List the runs whose evidence is kept, with verdicts and times, and draw their trend."""
    from archon_ops.cli.shared import site_of
    from archon_ops.cli.verdict import shown_history
    from archon_ops.runbook.history import history
    from archon_ops.runbook.keep import reports
    from archon_ops.runbook.seal import head_of

    site = site_of(run)
    past = history(reports(site))
    head = head_of(site.settings.state)
    if run.options.json:
        run.console.json({"runs": past, "head": head.text if head else None})
        return
    shown_history(run, past)
    if head is not None:
        run.console.data(f"\nChain's head   {head.text}\n")


@command(
    help={
        "folder": "another folder of runs, as an audit pack; its chain may begin anywhere",
        "key": "file with the public key; by default the installation's own",
        "head": "the chain's head as it was printed, NUMBER:SHA256",
    }
)
def verify(
    run: Run, folder: str | None = None, key: str | None = None, head: str | None = None
) -> ExitCode:
    """Find any run that was changed, taken away, added or reordered; needs no database."""
    from pathlib import Path

    from archon_ops.cli.shared import site_of
    from archon_ops.cli.verdict import told_checked
    from archon_ops.runbook import audit

    site = site_of(run)
    checked = audit.audit(
        site.settings,
        Path(folder).expanduser().absolute() if folder is not None else None,
        Path(key).expanduser().absolute() if key is not None else None,
        head,
    )
    return told_checked(run, checked)


@command(
    positional="folder",
    help={
        "folder": "folder to make",
        "from_": "first day, YYYY-MM-DD, UTC",
        "to": "last day, included",
    },
)
def export(run: Run, folder: str, from_: str | None = None, to: str | None = None) -> None:
    """Pack the runs of a period for an auditor, with how to check them by sha256sum and openssl."""
    from pathlib import Path

    from archon_ops.cli.shared import site_of
    from archon_ops.runbook.export import README
    from archon_ops.runbook.export import export as action

    done = action(site_of(run), Path(folder).expanduser().absolute(), from_, to)
    if run.options.json:
        run.console.json({"folder": done.folder, "runs": [past.run for past in done.runs]})
        return
    run.console.data(f"{len(done.runs)} run(s) in {done.folder}; begin with {README}\n")
