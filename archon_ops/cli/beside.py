"""`inv restore … --into`: a part of a backup beside what lives; cli/restores.py calls this."""

from __future__ import annotations

from archon_ops.cli.command import Run
from archon_ops.errors import ExitCode, UsageError
from archon_ops.site import Site

Part = tuple[str, str, str]


def request_of(schema: str | None, table: str | None, into: str | None, other: bool) -> Part | None:
    """What --schema, --table and --into ask for together; None where none was given.

    Args:
        schema: value of --schema.
        table: value of --table.
        into: value of --into.
        other: whether flags of a whole restore were given.

    Returns:
        The new schema, and the schema or the table that goes into it.

    Raises:
        UsageError: they make no sense together.
    """
    if schema is None and table is None and into is None:
        return None
    if into is None:
        raise UsageError(
            "--schema and --table need --into: a part of a backup is made beside, never over",
            "name a new schema: --into NAME; single rows come back with inv rescue",
        )
    if bool(schema) == bool(table):
        raise UsageError("--into needs one of --schema and --table", "say what goes into it")
    if other:
        raise UsageError(
            "--into goes with neither --scope, --database, --trust, --accept-unreadable nor "
            "--create-roles",
            "a part is made beside: nothing is replaced, and no role is needed",
        )
    return into, schema or "", table or ""


def restore_beside(run: Run, site: Site, backup: str, part: Part, dry_run: bool) -> ExitCode:
    """Plan it, let it be confirmed, do it, and say what came of it."""
    from archon_ops.actions import beside as action
    from archon_ops.model.units import human_duration

    request = action.Request(backup, *part)
    if dry_run:
        planned = action.plan(site, request)
        if run.options.json:
            document = {"source": site.name, "dry_run": True, "plan": planned.document()}
            run.console.json(document)
        else:
            run.console.data(f"{planned.text()}\n")
        return ExitCode.DONE
    done = action.restore_beside(
        site, request, lambda planned: run.console.confirm(planned.target, planned.text())
    )
    rows = sum(t.rows_found or 0 for t in done.tables)
    run.console.ok(
        f"schema {request.into} holds {request.text} of {done.plan.backup}: {rows} rows, "
        "proven equal"
    )
    run.console.info(f"took {human_duration(done.seconds)}; DROP SCHEMA … CASCADE takes it away")
    if run.options.json:
        run.console.json(
            {
                "source": site.name,
                "plan": done.plan.document(),
                "proof": {
                    "equal": all(t.equal for t in done.tables),
                    "tables": [
                        {
                            "table": t.table,
                            "rows_expected": t.rows_expected,
                            "rows_found": t.rows_found,
                            "equal": t.equal,
                        }
                        for t in done.tables
                    ],
                },
                "seconds": round(done.seconds, 3),
            }
        )
    return ExitCode.DONE
