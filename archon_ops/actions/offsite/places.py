"""Which places are meant: by name from the settings, or by URL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from archon_ops.errors import PreconditionError, UsageError
from archon_ops.settings import OffsiteSettings
from archon_ops.site import Site
from archon_ops.storage.cipher import Cipher, Keys, cipher_for
from archon_ops.storage.folders import ensure_folder
from archon_ops.storage.outbox import Outbox
from archon_ops.storage.remote.opened import opened
from archon_ops.storage.remote.place import Place, parse_place
from archon_ops.storage.vault import Vault

# The lock of those who move copies: one at a time, while backups go on.
LOCK = "offsite"
# Names all places of the settings, where a name or a URL names one.
EVERYWHERE = "offsite"


@dataclass(frozen=True)
class Destination:
    """One place, with how it is reached and for whom copies are encrypted.

    Attributes:
        name: in the settings; empty for one that was given by its URL.
        given: its settings.
        place: its URL, taken apart.
    """

    name: str
    given: OffsiteSettings
    place: Place

    @property
    def shown(self) -> str:
        """The place for people: no credentials."""
        return self.place.shown

    @property
    def cipher(self) -> Cipher | None:
        """How copies are encrypted before they leave; None: they are not."""
        return cipher_for(self.given.recipients, self.given.passphrase)

    def vault(self, site: Site) -> Vault:
        """The copies of the site's source there."""
        return Vault(opened(self.place, self.given, site.run_id), site.name, site.keys)

    def keys(self, site: Site, given: Keys) -> Keys:
        """What there is to decrypt with: what was given, else what the settings name."""
        identity = self.given.identity
        own = self.given.passphrase if self.given.passphrase.get_secret_value() else None
        return Keys(
            given.identity or (site.settings.path(identity.expanduser()) if identity else None),
            given.passphrase or own,
            given.ask,
        )


def destinations(
    site: Site, urls: Sequence[str] = (), recipients: Sequence[str] = ()
) -> tuple[Destination, ...]:
    """The places that are meant.

    Args:
        site: whose settings.
        urls: names from the settings, or URLs; none: all of the settings.
        recipients: for whom to encrypt, instead of what the settings say.

    Raises:
        PreconditionError: none was given and none is configured.
        UsageError: a URL or a recipient is malformed.
    """
    configured = site.settings.offsite
    if not urls and not configured:
        raise PreconditionError(
            "no place offsite is configured",
            "give one with --to or --from (a folder, or s3://bucket/prefix), or set [offsite.NAME] "
            "url in archon.toml",
        )
    chosen = [_destination(site, url) for url in urls or configured]
    if recipients:
        chosen = [_for(destination, recipients) for destination in chosen]
    for destination in chosen:
        _ = destination.cipher  # a malformed recipient is told before anything is sent
    return tuple(chosen)


def spelled(site: Site, url: str) -> str:
    """A place so that it means the same in every folder.

    Raises:
        UsageError: the URL is malformed.
    """
    if url in site.settings.offsite:
        return url
    place = parse_place(url, Path.cwd())
    return place.path if place.kind == "folder" else url


def outbox(site: Site) -> Outbox:
    """Where ciphertexts rest on their way."""
    return Outbox(site.directory.ops / "outbox", site.run_id)


def prepare(site: Site) -> None:
    """Make the folders that are ours to make, on a machine where nothing is yet."""
    if site.directory.path.is_relative_to(site.settings.state):
        below = site.directory.path.relative_to(site.settings.root)
        for parent in reversed(below.parents[:-1]):
            ensure_folder(site.settings.path(parent))


def sweep(site: Site, vault: Vault) -> None:
    """Remove what uploads that were cut off long ago have left there."""
    if gone := vault.sweep():
        site.report.info(f"uploads that were cut off more than a week ago, removed there: {gone}")


def warn_of_same_disk(site: Site, destination: Destination) -> None:
    """Say when a folder lies on the disk of the backups, as one does that is not mounted."""
    if destination.place.kind != "folder":
        return
    here, there = site.directory.path, Path(destination.place.path)
    if there.is_dir() and here.is_dir() and here.stat().st_dev == there.stat().st_dev:
        site.report.warn(
            f"{there} is on the same file system as the backups (is its disk mounted?): "
            "what destroys one destroys the other"
        )


def _destination(site: Site, url: str) -> Destination:
    configured = site.settings.offsite
    if url in configured:
        given = configured[url]
        return Destination(url, given, parse_place(given.url, site.settings.root))
    place = parse_place(url, Path.cwd())
    if place.kind == "folder" and "/" not in url and not Path(place.path).exists():
        others = f"known: {', '.join(sorted(configured))}; " if configured else ""
        raise UsageError(
            f"no place offsite is called {url!r}, and no folder either",
            f"{others}a new place has to be made by you: mkdir",
        )
    for name, given in configured.items():
        known = parse_place(given.url, site.settings.root)
        if known.shown == place.shown:
            return Destination(name, given, known)
    return Destination("", OffsiteSettings(url=url), place)


def _for(destination: Destination, recipients: Sequence[str]) -> Destination:
    changed = {"recipients": tuple(recipients), "passphrase": SecretStr("")}
    given = destination.given.model_copy(update=changed)
    return Destination(destination.name, given, destination.place)
