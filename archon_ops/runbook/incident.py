"""An incident before anything is done: what was seen, which scenario fits, what it would mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from archon_ops.actions.recovery.signs import Seen, look
from archon_ops.actions.restoring.losing import Losses
from archon_ops.errors import PreconditionError
from archon_ops.model.diagnosis import Status
from archon_ops.model.scenario import DELETION, MIGRATION, SYSTEM_LOSS, Fit, promise
from archon_ops.model.units import human_size, zulu
from archon_ops.runbook.steps import Case, Wishes, not_applying, steps_of
from archon_ops.runbook.target import spelled
from archon_ops.site import Site
from archon_ops.storage.reference import resolve

_SHOWN = 12
_TROUBLES = 5


@dataclass(frozen=True)
class Incident:
    """A disaster that was recognised, and the way out of it.

    Attributes:
        case: which disaster of which source.
        reasons: why this one.
        seen: all that was seen.
        target: what would be changed, as it has to be typed.
    """

    case: Case
    reasons: tuple[str, ...]
    seen: Seen
    target: str

    @property
    def parameters(self) -> tuple[str, ...]:
        """What its notebook is given, as "key=value"."""
        said = {k: v for k, v in asdict(self.case.wishes).items() if v}
        values = {"mode": "live", "confirm": self.target, **said}
        return tuple(f"{name}={value}" for name, value in values.items())

    def text(self) -> str:
        """The plan, for a person who has to decide."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        scenario = self.case.scenario
        yield f"Scenario {scenario.number}: {scenario.title}"
        yield from (f"Why      {reason}" for reason in self.reasons)
        yield from (f"Doctor   {line}" for line in self._troubles())
        if scenario.restores:
            yield from self._backup_lines()
        yield f"Loss     {_lost(self.case, self.seen.lost)}"
        yield from self._lost_tables()
        yield f"Target   {self.target}"
        for number, (_, title) in enumerate(steps_of(self.case), 1):
            yield f"Step {number:<3} {title}"
        yield from (f"Without  {text}" for text in not_applying(self.case))
        yield f"Time     the handbook promises {promise(scenario.expected_seconds)}"
        if scenario is MIGRATION and self.case.has_services and not self.case.wishes.migration:
            yield "First    correct the migration in Archon's folder: it is applied at its start"
        if self.case.full and scenario is not SYSTEM_LOSS:
            yield "After    the present database is kept; inv undo brings it back"

    def _troubles(self) -> tuple[str, ...]:
        """What else the doctor calls a problem."""
        findings = (f for f in self.seen.diagnosis.ordered if f.status is Status.PROBLEM)
        return tuple(f"{f.check}: {f.found}" for f in findings)[:_TROUBLES]

    def _backup_lines(self) -> Iterator[str]:
        found = self.seen.backup
        if offsite := self.case.wishes.offsite:
            yield f"Backup   the newest copy from {offsite} that can be opened"
            return
        if moment := self.case.wishes.moment:
            yield f"Backup   of the cluster as of {moment}, recovered in a sandbox first"
            return
        if self.case.wishes.backup:
            found = resolve(self.case.site.directory, self.case.wishes.backup).backup
        else:
            yield from (f"Passed   {text}" for text in self.seen.passed_over)
        if found is not None:
            size, at = human_size(found.size_bytes), zulu(found.taken_at)
            yield f"Backup   {found.name} ({size}), database as of {at}, trust: {found.trust}"

    def _lost_tables(self) -> Iterator[str]:
        if self.seen.lost is None or not self.case.full:
            return
        lost = [t for t in self.seen.lost.tables if t.lost or t.problem]
        for table in lost[:_SHOWN]:
            why = table.problem or f"{table.lost} rows newer than the backup"
            yield f"         {table.table}: {why}"

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "source": self.case.site.name,
            "scenario": self.case.scenario.number,
            "runbook": self.case.scenario.runbook,
            "reasons": list(self.reasons),
            "backup": self.seen.backup.name if self.seen.backup else None,
            "passed_over": list(self.seen.passed_over),
            "rows_lost": _rows_lost(self.seen.lost),
            "target": self.target,
            "steps": [title for _, title in steps_of(self.case)],
            "not_covered": list(not_applying(self.case)),
            "signs": vars(self.seen.signs),
        }


def seen_of(site: Site) -> Seen:
    """Look at a source in trouble; nothing is changed."""
    return look(site)


def incident(site: Site, seen: Seen, fit: Fit, wishes: Wishes) -> Incident:
    """What a scenario means for a source.

    Raises:
        PreconditionError: it takes a backup, and there is none that can be trusted.
    """
    elsewhere = wishes.backup or wishes.offsite or wishes.moment
    if fit.scenario.restores and seen.backup is None and not elsewhere:
        raise _nothing_to_restore(site, seen)
    if fit.scenario is DELETION and seen.signs.missing_tables:
        wishes = replace(wishes, everything=True)  # rows need a table to come back into
    return Incident(Case(site, fit.scenario, wishes, live=True), fit.reasons, seen, spelled(site))


def _nothing_to_restore(site: Site, seen: Seen) -> PreconditionError:
    place = site.directory.path
    if not site.directory.catalog().ordinary:
        return PreconditionError(
            f"there is no backup in {place}, so nothing can be restored",
            "copies: inv offsite.pull latest; backups in another folder: -p backup=FILE",
        )
    older = f": {'; '.join(seen.passed_over)}" if seen.passed_over else ""
    return PreconditionError(
        f"no backup in {place} can be trusted, so nothing can be restored{older}",
        "copies: inv offsite.pull latest; a dump without a manifest: inv restore FILE --trust",
    )


def _lost(case: Case, lost: Losses | None) -> str:
    if not case.scenario.restores:
        return "none: the database is not touched"
    if not case.full:
        return "none: only rows that are missing are written, all others stay as they are"
    if lost is None:
        return "cannot be counted: all that was written since the backup"
    if not (count := _rows_lost(lost)):
        return f"none: no live row is newer than the backup ({lost.basis})"
    return f"{count} live rows are newer than the backup and leave service ({lost.basis})"


def _rows_lost(lost: Losses | None) -> int | None:
    return sum(table.lost for table in lost.tables) if lost and lost.counted else None
