"""What every place offsite can do, and what its callers may rely on."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from archon_ops.errors import UntrustworthyError
from archon_ops.storage.remote.source import Source

Write = Callable[[bytes], None]
Check = Callable[[], None]
# Nobody comes back for an upload that was cut off so long ago; ciphertexts here go as well.
ABANDONED = timedelta(days=7)
_OURS = re.compile(r"[^/]+/(copies/)?archon_postgres-[^/]+|[^/]+/evidence/[^/]+")


class TakenError(UntrustworthyError):
    """The name is taken by other content: somebody overwrote history, or would be about to."""


@dataclass(frozen=True)
class Entry:
    """One object as a listing tells of it.

    Attributes:
        name: relative to the place, with "/" between its parts.
        size_bytes: its length.
    """

    name: str
    size_bytes: int


@dataclass(frozen=True)
class Stored:
    """What became of an object that was put.

    Attributes:
        version: names exactly these bytes, where the place keeps versions; else empty.
        sent: whether bytes were sent; False where the same were there already.
    """

    version: str = ""
    sent: bool = True


class Remote(Protocol):
    """A place for objects with names.

    Every method raises PreconditionError for what the user can put right (rights, a wrong bucket,
    a clock), and OpsError where the place does not answer, after its tries are used up.
    """

    @property
    def shown(self) -> str:
        """The place as people may see it: no credentials."""

    def list(self, prefix: str = "") -> list[Entry]:
        """Everything whose name begins with `prefix`; nothing where the place is empty."""

    def current(self, name: str) -> Stored | None:
        """Which version bears a name now; None where nothing does."""

    def put(self, name: str, source: Source, check: Check) -> Stored:
        """Store an object, and make sure that what is there is what was sent.

        Args:
            name: must be free, or be borne by the same bytes.
            source: the bytes.
            check: called when all are sent and before the name appears; raises to stop that.

        Raises:
            TakenError: the name is borne by other bytes.
        """

    def get(self, name: str, write: Write, version: str = "") -> None:
        """Hand over the bytes of an object in order, from where it broke off if it does.

        Raises:
            PreconditionError: there is no such object.
        """

    def delete(self, name: str, version: str = "") -> None:
        """Remove an object, its bytes too where versions are kept; nothing if it is not there."""

    def locked_until(self, name: str, version: str = "") -> datetime | None:
        """Until when the place itself refuses to delete an object; None where it does not."""

    def sweep(self) -> int:
        """Remove what our uploads that were cut off long ago have left there; how many."""


def is_ours(name: str) -> bool:
    """Whether a name in a place is one that we give: a place may be shared with other things."""
    return _OURS.fullmatch(name) is not None


def taken(where: str, name: str) -> TakenError:
    """The loud refusal."""
    return TakenError(
        f"{where}: {name} is there already with OTHER content and was not overwritten",
        "find out who wrote it before you trust any copy there; push to another place meanwhile",
    )
