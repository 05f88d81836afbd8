"""Findings and boxes as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from archon_ops.cli.text import clean
from archon_ops.model.boxes import Box
from archon_ops.model.checklist import Phase
from archon_ops.model.diagnosis import Diagnosis, Finding, Status


def as_text(diagnosis: Diagnosis, *, everything: bool) -> str:
    """A diagnosis: what is wrong first and in full, what is well in a line each.

    Args:
        diagnosis: what was found.
        everything: whether what is well is listed too.
    """
    lines = [f"Source {clean(diagnosis.source)}"]
    lines += [f"  mended   {clean(line)}" for line in diagnosis.mended]
    lines += [f"  skipped  {clean(line)}" for line in diagnosis.skipped]
    for finding in diagnosis.ordered:
        if finding.status is not Status.OK or everything:
            lines.extend(_finding(finding))
    counts = ", ".join(f"{diagnosis.count(s)} {s}" for s in Status if diagnosis.count(s))
    answer = "a backup can run" if diagnosis.backup_possible else "NO BACKUP CAN RUN"
    return "\n".join([*lines, "", f"{len(diagnosis.findings)} answers: {counts}; {answer}", ""])


def _finding(finding: Finding) -> Iterator[str]:
    blocks = ", no backup can run" if finding.blocks_backup else ""
    yield ""
    yield f"[{finding.status}{blocks}] {clean(finding.check)}: {clean(finding.found)}"
    for name, value in (
        ("symptom", finding.symptom),
        ("looked at", finding.looked_at),
        ("cause", finding.cause),
        ("mend", finding.mend),
    ):
        if value and (finding.status is not Status.OK or name == "looked at"):
            yield f"    {name:<10} {clean(value)}"


def boxes_as_text(phases: Mapping[Phase, Sequence[Box]]) -> str:
    """Checklists with their boxes; what is to be done stands under an open one."""
    lines: list[str] = []
    for phase, boxes in phases.items():
        lines += ["", f"{phase.heading} ({phase})"]
        for box in boxes:
            lines.append(f"  [{'x' if box.ticked else ' '}] {clean(box.text)}")
            lines.append(f"        {clean(box.why)}")
            if box.to_do:
                lines.append(f"        -> {clean(box.to_do)}")
    return "\n".join([*lines[1:], ""])
