"""Decide which backups go, show it, and let them go: never before one that stays was read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from archon_ops.actions.expiry import drop_due
from archon_ops.actions.recording import recorded
from archon_ops.errors import UsageError
from archon_ops.model.backup import Backup, Verification
from archon_ops.model.policy import Policy
from archon_ops.model.retention import Action, Decision, archive_decisions, newest_to_keep
from archon_ops.model.retention import decide as decide_by
from archon_ops.site import Site
from archon_ops.storage import retire
from archon_ops.storage.files import sha256_of
from archon_ops.storage.verifications import append_verification


@dataclass(frozen=True)
class Applied:
    """What was done.

    Attributes:
        before: number of ordinary backups beforehand.
        removed: names of those deleted.
        archived: names of those moved.
    """

    before: int
    removed: tuple[str, ...]
    archived: tuple[str, ...]


def policy(site: Site, last: int | None) -> Policy:
    """The policy of the settings, with another number of last backups if one was given.

    Raises:
        UsageError: the number would leave no backup.
    """
    if last is not None and last < 1:
        raise UsageError(f"--retention {last} would leave no backup", "keep at least 1")
    return site.policy if last is None else replace(site.policy, last=last)


def decide(site: Site, chosen: Policy) -> tuple[Decision, ...]:
    """What the policy says of each backup."""
    return decide_by(site.directory.list(), chosen, site.clock())


def decide_archive(site: Site, older_than: timedelta, *, unmanaged: bool) -> tuple[Decision, ...]:
    """What would move to an archive."""
    return archive_decisions(site.directory.list(), older_than, site.clock(), unmanaged)


def retain(site: Site, chosen: Policy, *, just_read: str) -> Applied:
    """Apply a policy after a backup, inside the run that took it.

    Args:
        site: where.
        chosen: the policy.
        just_read: name of the new dump: this run has read it back in full.
    """
    return _apply(site, on_sound(site, lambda: decide(site, chosen), just_read))


def prune(site: Site, chosen: Policy) -> tuple[tuple[Decision, ...], Applied]:
    """Apply a policy as a run of its own; what a restore kept goes too when its time is over."""
    with recorded(site, "prune") as run:
        decisions = on_sound(run.site, lambda: decide(run.site, chosen))
        run.site.report.phase("prune.remove", "Removing backups")
        applied = _apply(run.site, decisions)
        run.details["removed"] = list(applied.removed)
        drop_due(run)
        return decisions, applied


def archive(
    site: Site, older_than: timedelta, to: Path, *, unmanaged: bool
) -> tuple[tuple[Decision, ...], Applied]:
    """Move old backups as a run of its own."""
    with recorded(site, "prune") as run:
        decisions = on_sound(
            run.site, lambda: decide_archive(run.site, older_than, unmanaged=unmanaged)
        )
        run.site.report.phase("prune.archive", "Moving backups to the archive")
        applied = _apply(run.site, decisions, to)
        run.details["archived"] = list(applied.archived)
        return decisions, applied


def _apply(site: Site, decisions: Sequence[Decision], archive_to: Path | None = None) -> Applied:
    """Delete or move what was decided; the directory's lock is held."""
    chosen = [d.backup for d in decisions if d.action is not Action.KEEP]
    before = sum(1 for d in decisions if not d.backup.safety)
    for backup in chosen:
        if archive_to is not None:
            retire.archive(site.directory, backup, archive_to, site.run_id)
        else:
            retire.remove(site.directory, backup)
    names = tuple(backup.name for backup in chosen)
    return Applied(before, names, ()) if archive_to is None else Applied(before, (), names)


def on_sound(
    site: Site, deciding: Callable[[], tuple[Decision, ...]], just_read: str | None = None
) -> tuple[Decision, ...]:
    """Decide again as often as the backup that everything rests on turns out to be damaged."""
    while True:
        decisions = deciding()
        if all(d.action is Action.KEEP for d in decisions):
            return decisions
        anchor = newest_to_keep([d.backup for d in decisions], site.clock())
        read_already = anchor is not None and anchor.name == just_read and not anchor.safety
        if anchor is None or read_already or _reads_well(site, anchor):
            return decisions
        site.report.warn(f"{anchor.name} is damaged (checksum): it counts no more")


def _reads_well(site: Site, anchor: Backup) -> bool:
    """Read a backup in full before others go because of it; what came of it stays beside it."""
    manifest = anchor.manifest
    if manifest is None:
        return False
    began = site.clock()
    path = site.directory.path_of(anchor)
    found = sha256_of(path, lambda done, total: site.report.progress("check", done, total))
    good = found == (manifest.sha256, manifest.size_bytes)
    look = Verification(
        at=site.clock(),
        method="checksum",
        passed=good,
        problems=() if good else ("checksum: its bytes are not those that were written",),
        sha256=manifest.sha256,
        seconds=(site.clock() - began).total_seconds(),
    )
    append_verification(path, look, site.run_id)
    return good
