"""Letting backups go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archon_ops.cli.command import Run, command
from archon_ops.errors import UsageError

if TYPE_CHECKING:
    from archon_ops.actions.offsite.places import Destination
    from archon_ops.site import Site


@command(
    help={
        "retention": "keep the last N",
        "archive_to": "move instead of deleting: to this folder, or a place offsite (name, URL)",
        "older_than": "what moves to the archive: 12h, 7d, 4w",
        "unmanaged": "with --archive-to: move dumps that are not ours too",
        "backup_dir": "another directory than the source's",
    }
)
def prune(
    run: Run,
    retention: int | None = None,
    archive_to: str | None = None,
    older_than: str | None = None,
    unmanaged: bool = False,
    backup_dir: str | None = None,
    dry_run: bool = False,
    yes: bool = False,
) -> None:
    """Remove backups by the retention policy; the newest trustworthy one always stays."""
    from pathlib import Path

    from archon_ops.actions import retention as action
    from archon_ops.actions.expiry import due
    from archon_ops.actions.offsite.archive import archive
    from archon_ops.cli.shared import counted, site_of
    from archon_ops.model.retention import Action
    from archon_ops.model.units import human_size, parse_age, zulu

    site = site_of(run, backup_dir)
    if (archive_to is None) != (older_than is None):
        raise UsageError("--archive-to and --older-than belong together")
    if archive_to is not None and retention is not None:
        raise UsageError("--retention deletes and --archive-to moves: choose one")
    if unmanaged and archive_to is None:
        raise UsageError(
            "--unmanaged goes with --archive-to: dumps that are not ours are never deleted"
        )
    place = _place(site, archive_to, unmanaged=unmanaged)
    policy = action.policy(site, retention)
    age = parse_age(older_than) if older_than is not None else None
    decisions = (
        action.decide(site, policy)
        if age is None
        else action.decide_archive(site, age, unmanaged=unmanaged)
    )
    rows = [
        (
            d.backup.name,
            zulu(d.backup.taken_at),
            human_size(d.backup.size_bytes),
            d.backup.trust.value,
            d.action.value,
            "; ".join(d.reasons),
        )
        for d in decisions
    ]
    going = [d for d in decisions if d.action is not Action.KEEP]
    dropping = due(site) if age is None else ()
    if not run.options.json:
        run.console.table(
            f"Retention of {site.name} in {site.directory.path}",
            ("name", "snapshot", "size", "trust", "action", "why"),
            rows,
        )
        for kept in dropping:
            size = human_size(kept.size_bytes)
            run.console.data(f"Drops {kept.name} ({size}): kept for an undo, its time is over\n")
    archive_to = place.shown if place else archive_to
    removed: tuple[str, ...] = ()
    archived: tuple[str, ...] = ()
    if (going or dropping) and not dry_run:
        verb = "removed" if age is None else f"moved to {archive_to}"
        what = [f"{counted(len(going))} of source {site.name} would be {verb}"]
        what += [f"database {kept.name} would be dropped" for kept in dropping]
        run.console.confirm(site.name, "\n".join(what))
        if age is not None and place is not None:
            decisions, applied = archive(site, age, place)
        elif age is not None and archive_to is not None:
            to = site.settings.path(Path(archive_to))
            decisions, applied = action.archive(site, age, to, unmanaged=unmanaged)
        else:
            decisions, applied = action.prune(site, policy)
        removed, archived = applied.removed, applied.archived
        run.console.info(f"{len(removed)} removed, {len(archived)} moved")
    elif not going and not dropping:
        run.console.info("nothing to remove")
    if run.options.json:
        run.console.json(
            {
                "source": site.name,
                "dry_run": dry_run,
                "decisions": [
                    {"filename": d.backup.name, "action": d.action.value, "reasons": d.reasons}
                    for d in decisions
                ],
                "removed": removed,
                "archived": archived,
                "drops": [kept.name for kept in dropping],
            }
        )


def _place(site: Site, archive_to: str | None, *, unmanaged: bool) -> Destination | None:
    """The place offsite that is meant; None for a folder, which is an archive like any other."""
    from archon_ops.actions.offsite.places import destinations

    if archive_to is None or not ("://" in archive_to or archive_to in site.settings.offsite):
        return None
    if unmanaged:
        raise UsageError(
            "--unmanaged dumps have no manifest, and no copy of them could be proven",
            "--archive-to a folder moves them",
        )
    return destinations(site, [archive_to])[0]
