"""How the end of a runbook is told, and what is known of past ones."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from archon_ops.cli.command import Run
from archon_ops.cli.stream import terminal
from archon_ops.errors import ExitCode

if TYPE_CHECKING:
    from archon_ops.runbook.checking import Checked
    from archon_ops.runbook.history import Past
    from archon_ops.runbook.keep import Kept


def trigger() -> str:
    """Who or what began a run."""
    return "by hand" if terminal(sys.stdin) else "by a program, without a terminal"


def told(run: Run, ran: Kept) -> None:
    """Print the verdict, its reasons, and where the evidence lies."""
    from archon_ops.model.units import human_duration
    from archon_ops.runbook import keep

    page = ran.folder / keep.PAGE
    hints = dict.fromkeys(error["hint"] for error in ran.evidence["errors"])
    if run.options.json:
        run.console.json(
            {**ran.evidence, "folder": ran.folder, "page": page, "head": ran.head.text}
        )
        return
    took = _took(ran)
    rows = [
        ("verdict", ran.verdict.value),
        *(("why", reason) for reason in ran.evidence["reasons"]),
        *(("do next", hint) for hint in hints if hint),
        ("recovery took", "-" if took is None else human_duration(took)),
        ("evidence", ran.folder),
        ("page", page),
        ("chain's head", ran.head.text),
    ]
    run.console.table(f"Runbook {ran.evidence['identity']['runbook']}", ("", "found"), rows)


def told_all(run: Run, ran: tuple[Kept, ...]) -> ExitCode:
    """Print the verdicts of several runs; the gravest one is how the command ends."""
    from archon_ops.model.units import human_duration
    from archon_ops.model.verdict import worst

    verdict = worst(one.verdict for one in ran)
    if run.options.json:
        runs = [{**one.evidence, "folder": one.folder, "head": one.head.text} for one in ran]
        run.console.json({"verdict": verdict.value, "runs": runs})
        return verdict.exit_code
    rows = [
        (
            one.evidence["identity"]["runbook"],
            one.verdict.value,
            "-" if (took := _took(one)) is None else human_duration(took),
            "; ".join(one.evidence["reasons"]) or "-",
            one.folder,
        )
        for one in ran
    ]
    run.console.table(
        "All drills", ("runbook", "verdict", "recovery took", "why", "evidence"), rows
    )
    return verdict.exit_code


def _took(kept: Kept) -> float | None:
    took: float | None = kept.evidence["objectives"]["recovery_time_seconds"]
    return took


def shown_history(run: Run, past: tuple[Past, ...]) -> None:
    """Print the runs, newest last, and a line of bars for each runbook and source."""
    from archon_ops.model.units import human_duration, zulu
    from archon_ops.runbook.history import trend

    run.console.table(
        "Evidence",
        ("run", "runbook", "source", "began", "verdict", "recovery took"),
        [
            (
                p.run,
                p.runbook,
                p.source,
                zulu(p.started_at) if p.started_at else "-",
                p.verdict,
                "-" if p.recovery_seconds is None else human_duration(p.recovery_seconds),
            )
            for p in past
        ],
    )
    rows = []
    for name, source in sorted({(p.runbook, p.source) for p in past}):
        times = [
            p.recovery_seconds
            for p in past
            if (p.runbook, p.source) == (name, source) and p.recovery_seconds is not None
        ]
        if times:
            last, most = human_duration(times[-1]), human_duration(max(times))
            rows.append((name, source, trend(times), last, most))
    if rows:
        columns = ("runbook", "source", "recovery took, oldest first", "last", "longest")
        run.console.table("Trend", columns, rows)


def told_checked(run: Run, checked: Checked) -> ExitCode:
    """Print what a check of the evidence found."""
    code = checked.exit_code
    words = {ExitCode.DONE: "unchanged", ExitCode.INCONCLUSIVE: "unchanged, as far as checked"}
    verdict = words.get(code, "CHANGED")
    if run.options.json:
        head = checked.head.text if checked.head else None
        run.console.json(
            {
                "passed": code == ExitCode.DONE,
                "runs": checked.runs,
                "findings": checked.findings,
                "not_checked": checked.not_checked,
                "head": head,
            }
        )
        return code
    if checked.findings:
        rows = [(f.run, f.file or "-", f.problem) for f in checked.findings]
        run.console.table("Evidence that is not what it was", ("run", "file", "problem"), rows)
    for line in checked.not_checked:
        run.console.warn(line)
    run.console.data(f"{checked.runs} run(s) checked: {verdict}\n")
    return code
