"""Whether Archon's encryption key is still the one that the newest backups were taken under."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from archon_ops.errors import OpsError
from archon_ops.model.backup import KeyFingerprint
from archon_ops.model.catalog import Catalog
from archon_ops.model.runs import KEY_CHANGED, RunRecord
from archon_ops.settings import archon_secret

_NOTED = "Archon's encryption key is another one than the newest backup's, as inv alert found"


@dataclass
class KeyWatch:
    """Compares a fingerprint with the key of today; each pair once, for it takes a while.

    Attributes:
        home: folder with Archon's `.env`; None where it may not be read: then what the last alert
            wrote down is repeated.
    """

    home: Path | None
    _asked: tuple[KeyFingerprint, str] | None = None
    _matched: bool = True

    def changed(
        self, catalog: Catalog, records: Iterable[RunRecord]
    ) -> tuple[bool | None, str | None]:
        """Whether the key is another one, and what to say; None where it cannot be told.

        Args:
            catalog: the backups; the newest one with a fingerprint is asked.
            records: of the runs, newest first.
        """
        if self.home is None:
            noted = _noted(records)
            return noted, _NOTED if noted else None
        known = next(
            ((b.name, b.manifest.key) for b in catalog.ordinary if b.manifest and b.manifest.key),
            None,
        )
        key = _key_of_today(self.home)
        if known is None or key is None:
            return None, None
        name, fingerprint = known
        if (fingerprint, key) != self._asked:
            self._matched, self._asked = fingerprint.matches(key), (fingerprint, key)
        if self._matched:
            return False, None
        return True, f"Archon's encryption key is another one than in {name}: keep the former one"


def _noted(records: Iterable[RunRecord]) -> bool | None:
    """What the last alert that knew of the key wrote down."""
    found = (r.details[KEY_CHANGED] for r in records if KEY_CHANGED in r.details)
    last = next(found, None)
    return last if isinstance(last, bool) else None


def _key_of_today(home: Path) -> str | None:
    try:
        secret = archon_secret(home)
    except OpsError:  # as where it may not be read: then nothing is known of the key
        return None
    return secret[1].get_secret_value() if secret else None
