"""Bring backups to places offsite; what goes wrong there leaves the backups here as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archon_ops.actions.offsite.evidence import push_evidence
from archon_ops.actions.offsite.places import (
    LOCK,
    Destination,
    destinations,
    outbox,
    sweep,
    warn_of_same_disk,
)
from archon_ops.actions.offsite.replacing import discard_damaged, require_not_failed
from archon_ops.actions.recording import recorded
from archon_ops.errors import OpsError, PreconditionError, UntrustworthyError
from archon_ops.model.backup import Backup
from archon_ops.model.copies import Copy
from archon_ops.model.units import human_size
from archon_ops.site import Site
from archon_ops.storage.lock import Lock
from archon_ops.storage.reference import resolve
from archon_ops.storage.vault import Pushed, Vault

ALL = "all"


@dataclass(frozen=True)
class Arrived:
    """What a push did at one place.

    Attributes:
        destination: the place.
        sent: copies that were made.
        there: copies that were there already.
        replaced: names of those that were damaged there.
    """

    destination: Destination
    sent: tuple[Copy, ...]
    there: tuple[Copy, ...]
    replaced: tuple[str, ...]


def push(
    site: Site, reference: str, places: Sequence[Destination], *, replace: bool = False
) -> tuple[Arrived, ...]:
    """Push to every place, each a run of its own; one that fails keeps nothing from the others.

    Args:
        site: whose backups.
        reference: latest, a name, or all.
        places: where to.
        replace: read what is there, delete it there if it is damaged, and push it anew.

    Raises:
        OpsError: of the first place that failed; the backups here are as they were.
    """
    backups = chosen(site, reference)
    arrived: list[Arrived] = []
    errors: list[OpsError] = []
    runs = (site if number == 0 else site.for_next_run() for number in range(len(places)))
    for run, destination in zip(runs, places, strict=True):
        try:
            arrived.append(_push(run, backups, destination, replace=replace))
        except OpsError as error:
            errors.append(error)
            if len(places) > 1:
                site.report.warn(f"{destination.shown}: {error.message}")
    if errors:
        raise errors[0]
    outbox(site).clear(tuple(backup.name for backup in backups))
    return tuple(arrived)


def after_backup(site: Site, name: str, *, asked: bool) -> tuple[Arrived, ...]:
    """Push a backup that was just taken, where the settings or the user ask for it.

    Args:
        site: whose backup.
        name: of the backup.
        asked: whether the user asked: then it goes to all places.

    Raises:
        OpsError: a place failed; says that the backup itself is good.
    """
    wanted = [key for key, place in site.settings.offsite.items() if asked or place.after_backup]
    if not wanted and not asked:
        return ()
    places = destinations(site, wanted)
    try:
        return push(site.for_next_run(), name, places)
    except OpsError as error:
        raise type(error)(
            f"the backup {name} is good, but not copied: {error.message}",
            f"{error.hint}; then inv offsite.push" if error.hint else "inv offsite.push",
        ) from error


def chosen(site: Site, reference: str) -> tuple[Backup, ...]:
    """The backups that are meant, oldest first.

    Raises:
        UntrustworthyError: the one that is meant is damaged: it would only push out a good one.
        PreconditionError: there is none.
    """
    if reference == ALL:
        ordinary = site.directory.catalog().ordinary
        found = tuple(backup for backup in reversed(ordinary) if backup.trustworthy)
        if not found:
            raise PreconditionError(f"no sound backups in {site.directory.path}", "inv backup")
        return found
    located = resolve(site.directory, reference)
    backup = located.backup
    if not located.inside or backup.safety:
        raise PreconditionError(
            f"{backup.name} is not one of the backups in {site.directory.path}", "inv backups"
        )
    if not backup.trustworthy:
        why = "; ".join(backup.problems) or "it has no manifest"
        raise UntrustworthyError(
            f"{backup.name} is not pushed: {why}", "inv backup, or inv offsite.push --backup all"
        )
    return (backup,)


def _push(
    site: Site, backups: Sequence[Backup], destination: Destination, *, replace: bool
) -> Arrived:
    with (
        Lock(site.directory, "offsite", site.settings.deadlines.lock, name=LOCK),
        recorded(site, "offsite", alone=False) as run,
    ):
        names = [backup.name for backup in backups]
        run.details.update({"verb": "push", "to": destination.shown, "backups": names})
        if destination.name:
            run.details["place"] = destination.name
        run.site.report.phase("offsite.push", f"Pushing to {destination.shown}")
        outbox(site).clear()
        warn_of_same_disk(run.site, destination)
        vault = destination.vault(site)
        replaced = discard_damaged(run.site, vault, backups) if replace else ()
        if replaced:
            run.details["replaced"] = list(replaced)
        done = [send(run.site, vault, backup, destination) for backup in backups]
        if evidence := push_evidence(run.site, vault, destination):
            run.site.report.ok(f"{len(evidence)} pieces of evidence are there too")
        sweep(run.site, vault)
    return Arrived(
        destination,
        tuple(pushed.copy for pushed in done if pushed.sent),
        tuple(pushed.copy for pushed in done if not pushed.sent),
        replaced,
    )


def send(site: Site, vault: Vault, backup: Backup, destination: Destination) -> Pushed:
    """Bring one backup there, inside of a run; what was there already is compared."""
    manifest = backup.manifest
    if manifest is None:
        raise UntrustworthyError(f"{backup.name} has no manifest")
    site.report.step("offsite.send", f"Sending {backup.name}")
    pushed = vault.push(
        site.directory.path_of(backup),
        manifest,
        destination.cipher,
        outbox(site),
        site.clock,
        lambda done, total: site.report.progress("push", done, total),
    )
    if pushed.sent:
        size = human_size(pushed.copy.stored_bytes)
        how = "" if pushed.copy.cipher == "none" else f", encrypted with {pushed.copy.cipher}"
        site.report.ok(f"{backup.name} is in {vault.shown} ({size}{how}), checked after it arrived")
    else:
        require_not_failed(site, backup.name, destination)
        site.report.ok(f"{backup.name} is there, of full length; inv offsite.verify reads it")
    return pushed
