"""Old backups move to a place offsite: a copy that counts there first, then they go here."""

from __future__ import annotations

from datetime import timedelta

from archon_ops.actions import retention
from archon_ops.actions.offsite.places import LOCK, Destination, outbox, warn_of_same_disk
from archon_ops.actions.offsite.push import send
from archon_ops.actions.recording import recorded
from archon_ops.model.retention import Action, Decision
from archon_ops.site import Site
from archon_ops.storage import retire
from archon_ops.storage.lock import Lock


def archive(
    site: Site, older_than: timedelta, destination: Destination
) -> tuple[tuple[Decision, ...], retention.Applied]:
    """Push what is old enough, and remove each here once its copy counts there.

    Args:
        site: whose backups.
        older_than: those that are at least this old move; the newest trustworthy one stays.
        destination: where to.

    Raises:
        OpsError: the place failed; what had not arrived is still here.
    """
    with (
        recorded(site, "prune") as run,
        Lock(site.directory, "offsite", site.settings.deadlines.lock, name=LOCK),
    ):
        decisions = retention.on_sound(
            run.site, lambda: retention.decide_archive(run.site, older_than, unmanaged=False)
        )
        run.site.report.phase("prune.archive", f"Moving backups to {destination.shown}")
        warn_of_same_disk(run.site, destination)
        vault = destination.vault(site)
        moved: list[str] = []
        run.details["archived"] = moved
        run.details["to"] = destination.shown
        for backup in [d.backup for d in decisions if d.action is not Action.KEEP]:
            send(run.site, vault, backup, destination)
            retire.remove(site.directory, backup)
            moved.append(backup.name)
        outbox(site).clear(tuple(moved))
    before = sum(1 for d in decisions if not d.backup.safety)
    return decisions, retention.Applied(before, (), tuple(moved))
