"""What lies offsite, and whether it is what was pushed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archon_ops.actions.offsite.opening import opened_copy
from archon_ops.actions.offsite.places import LOCK, Destination, outbox, prepare
from archon_ops.actions.recording import recorded
from archon_ops.errors import ExitCode, OpsError, PreconditionError, UntrustworthyError
from archon_ops.model.copies import NOT_SIGNED, Held, find, newest_first
from archon_ops.model.units import human_size
from archon_ops.site import Site
from archon_ops.storage.cipher import Keys
from archon_ops.storage.lock import Lock
from archon_ops.storage.vault import Vault, refuse_other_sources

ALL = "all"


@dataclass(frozen=True)
class Shelf:
    """The copies at one place, newest first.

    Attributes:
        destination: the place.
        held: what lies there.
        trouble: why it could not be looked at; None where it was.
    """

    destination: Destination
    held: tuple[Held, ...]
    trouble: OpsError | None = None


@dataclass(frozen=True)
class Seen:
    """What came of reading a copy.

    Attributes:
        destination: where it lies.
        name: file name of the dump.
        problems: why it cannot be trusted, one line each.
        not_proven: what could not be looked at, one line each.
    """

    destination: Destination
    name: str
    problems: tuple[str, ...]
    not_proven: tuple[str, ...]

    @property
    def exit_code(self) -> ExitCode:
        """How a command ends that read this one."""
        return ExitCode.UNTRUSTWORTHY if self.problems else ExitCode.DONE


def listed(site: Site, destinations: Sequence[Destination]) -> tuple[Shelf, ...]:
    """The copies at every place; no backup directory is needed.

    A place that cannot be looked at hides no other: its shelf says why, and is empty.

    Raises:
        PreconditionError: there is only one place, and it has none of this source.
    """
    shelves = []
    for destination in destinations:
        try:
            vault = destination.vault(site)
            held = newest_first(vault.held())
        except OpsError as error:
            shelves.append(Shelf(destination, (), error))
            continue
        if not held and len(destinations) == 1:
            raise refuse_other_sources(vault)
        shelves.append(Shelf(destination, held))
    return tuple(shelves)


def trouble(shelves: Sequence[Shelf]) -> OpsError | None:
    """What kept us from the first place that could not be looked at; None: all could."""
    return next((shelf.trouble for shelf in shelves if shelf.trouble), None)


def verify(
    site: Site, reference: str, destinations: Sequence[Destination], keys: Keys
) -> tuple[tuple[Seen, ...], OpsError | None]:
    """Read copies in full and hold them against what is written down of them.

    A place that cannot be looked at keeps no other from being read.

    Args:
        site: whose copies.
        reference: latest, a name, or all.
        destinations: where they lie.
        keys: with a key the plaintext is held against the backup's own manifest too.

    Returns:
        What came of each copy, and what kept us from the first place that was not read.

    Raises:
        OpsError: no place could be looked at, or one does not have that copy.
    """
    prepare(site)
    shelves = listed(site, destinations)
    away = trouble(shelves)
    for shelf in shelves:
        if shelf.trouble and len(shelves) > 1:
            site.report.warn(f"{shelf.destination.shown}: {shelf.trouble.message}")
    shelves = tuple(shelf for shelf in shelves if not shelf.trouble)
    if away and not shelves:
        raise away
    seen: list[Seen] = []
    runs = (site if number == 0 else site.for_next_run() for number in range(len(shelves)))
    for own, shelf in zip(runs, shelves, strict=True):
        with (
            recorded(own, "offsite", alone=False) as run,
            Lock(own.directory, "offsite", own.settings.deadlines.lock, name=LOCK),
        ):
            run.details.update({"verb": "verify", "to": shelf.destination.shown})
            run.site.report.phase("offsite.verify", f"Verifying {shelf.destination.shown}")
            outbox(own).clear()
            found = _chosen(shelf, reference)
            looked = [_look(run.site, shelf.destination, held, keys) for held in found]
            run.details["backups"] = [look.name for look in looked]
            bad = [look.name for look in looked if look.problems]
            run.exit_code = ExitCode.UNTRUSTWORTHY if bad else ExitCode.DONE
            run.details["failed"] = bad
        seen.extend(looked)
    return tuple(seen), away


def refusal(seen: Sequence[Seen]) -> UntrustworthyError | None:
    """What to say when copies did not hold; None when all did."""
    failed = [look for look in seen if look.problems]
    if not failed:
        return None
    first = failed[0]
    others = f" (and {len(failed) - 1} more copies)" if len(failed) > 1 else ""
    return UntrustworthyError(
        f"{first.name} in {first.destination.shown} cannot be trusted: "
        f"{'; '.join(first.problems[:3])}{others}",
        f"push it anew while you still have it: inv offsite.push --backup {first.name} "
        "--replace-damaged, or to another place: --to URL",
    )


def _chosen(shelf: Shelf, reference: str) -> tuple[Held, ...]:
    if reference == ALL:
        return shelf.held
    return (find(shelf.held, reference, shelf.destination.shown),)


def _look(site: Site, destination: Destination, held: Held, keys: Keys) -> Seen:
    if held.copy is None or held.problems:
        return Seen(destination, held.name, held.problems, ())
    vault = destination.vault(site)
    own = destination.keys(site, keys)
    try:
        problems = vault.overwritten(held.copy)
        notes = (*_read(site, vault, held, own), *_unsigned(site, held))
    except UntrustworthyError as error:
        return Seen(destination, held.name, (error.message,), ())
    if not problems and not notes:
        site.report.ok(f"{held.name}: every byte is what was pushed")
    return Seen(destination, held.name, problems, notes)


def _unsigned(site: Site, held: Held) -> tuple[str, ...]:
    """Every push from here signs: who left the signature out need not have been one."""
    if held.signed != NOT_SIGNED or not site.keys.known():
        return ()
    return ("who wrote it: what is written down of it is not signed",)


def _read(site: Site, vault: Vault, held: Held, keys: Keys) -> tuple[str, ...]:
    copy = held.copy
    if copy is None:
        raise PreconditionError(f"{held.name} has nothing written down")
    site.report.step("offsite.read", f"Reading {copy.name}, {human_size(copy.stored_bytes)}")
    readable = copy.cipher == "none" or (
        keys.identity is not None if copy.cipher == "age" else keys.passphrase is not None
    )
    if readable:
        with opened_copy(site, vault, copy, keys) as found:
            _ = found.manifest
        return ()
    for file in copy.files:
        vault.fetch(file, lambda _block: None)
    return (f"its content: the key is not here ({copy.cipher})",)
