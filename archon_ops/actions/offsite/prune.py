"""Let copies go by a policy of their own: never before one that stays was read in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from archon_ops.actions.offsite.places import LOCK, Destination, prepare, sweep
from archon_ops.actions.recording import recorded
from archon_ops.errors import UsageError
from archon_ops.model.copies import Copy, Held, as_backup
from archon_ops.model.policy import Policy
from archon_ops.model.retention import Action, Decision, decide, newest_to_keep
from archon_ops.model.units import zulu
from archon_ops.site import Site
from archon_ops.storage.lock import Lock
from archon_ops.storage.vault import Vault


@dataclass(frozen=True)
class Pruning:
    """What a policy says of the copies at one place.

    Attributes:
        destination: the place.
        decisions: one for each copy, newest first.
        copies: what is written down of those that can be believed, by name.
    """

    destination: Destination
    decisions: tuple[Decision, ...]
    copies: dict[str, Copy]

    @property
    def going(self) -> tuple[str, ...]:
        """Names of the copies that would be deleted."""
        return tuple(d.backup.name for d in self.decisions if d.action is Action.REMOVE)


def policy(destination: Destination, last: int | None) -> Policy:
    """The policy of a place, with another number of last copies if one was given.

    Raises:
        UsageError: the number would leave none.
    """
    if last is not None and last < 1:
        raise UsageError(f"--retention {last} would leave no copy", "keep at least 1")
    kept = destination.given.retention
    return Policy(
        kept.last if last is None else last,
        kept.daily,
        kept.weekly,
        kept.monthly,
        kept.yearly,
        kept.zone,
        kept.labelled,
    )


def plan(site: Site, places: Sequence[Destination], last: int | None) -> tuple[Pruning, ...]:
    """What would go, and what stays and why; nothing is changed."""
    return tuple(_plan(site, place, policy(place, last)) for place in places)


def prune(
    site: Site, places: Sequence[Destination], last: int | None
) -> tuple[tuple[Pruning, tuple[str, ...]], ...]:
    """Apply the policy of every place, each as a run of its own.

    Returns:
        What was decided at each place, and the names of the copies that were deleted.

    Raises:
        UntrustworthyError: the newest copy is not what was pushed: nothing was deleted there.
    """
    prepare(site)
    return tuple(_apply(site.for_next_run(), place, policy(place, last)) for place in places)


def _plan(site: Site, destination: Destination, chosen: Policy) -> Pruning:
    vault = destination.vault(site)
    held = vault.held()
    copies = {h.name: h.copy for h in held if h.copy is not None}
    decisions = decide([as_backup(h) for h in held], chosen, site.clock())
    return Pruning(destination, tuple(_unless_locked(vault, d, copies) for d in decisions), copies)


def _unless_locked(vault: Vault, decision: Decision, copies: dict[str, Copy]) -> Decision:
    """What the place itself refuses to delete stays, and says until when."""
    copy = copies.get(decision.backup.name)
    if decision.action is Action.KEEP or copy is None:
        return decision
    until = vault.locked_until(copy)
    if until is None:
        return decision
    return replace(decision, action=Action.KEEP, reasons=(f"locked there {_until(until)}",))


def _until(until: datetime) -> str:
    return "for good (legal hold)" if until.year == datetime.max.year else f"until {zulu(until)}"


def _apply(site: Site, destination: Destination, chosen: Policy) -> tuple[Pruning, tuple[str, ...]]:
    with (
        recorded(site, "offsite", alone=False) as run,
        Lock(site.directory, "offsite", site.settings.deadlines.lock, name=LOCK),
    ):
        run.details.update({"verb": "prune", "to": destination.shown})
        run.site.report.phase("offsite.prune", f"Pruning {destination.shown}")
        vault = destination.vault(site)
        planned = _plan(site, destination, chosen)
        if planned.going:
            _read_anchor(run.site, vault, planned)
        removed: list[str] = []
        run.details["removed"] = removed
        for name in planned.going:
            vault.remove(planned.copies[name])
            removed.append(name)
            run.site.report.ok(f"deleted {name}")
        sweep(run.site, vault)
    return planned, tuple(removed)


def _read_anchor(site: Site, vault: Vault, planned: Pruning) -> None:
    """Read the copy that everything rests on in full, before others go because of it."""
    held = [Held(name, copy) for name, copy in planned.copies.items()]
    kept = {d.backup.name for d in planned.decisions if d.action is Action.KEEP}
    anchor = newest_to_keep([as_backup(h) for h in held if h.name in kept], site.clock())
    if anchor is None:
        raise UsageError("no copy would stay")
    site.report.step("offsite.anchor", f"Reading {anchor.name}, which stays")
    for file in planned.copies[anchor.name].files:
        vault.fetch(file, lambda _block: None)
