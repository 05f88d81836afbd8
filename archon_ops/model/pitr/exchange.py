"""Two clusters change places in one data directory, so that each step can be taken back.

The data directory is often a mount, which cannot be renamed: so its entries are moved, all but one
folder in which the other cluster, and later the one that left, lie. A rename is whole or not done;
between two of them somebody may pull the plug. So each kind of move is written down before its
first rename, and what is written down says to whom the entries belong that are found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import PurePosixPath


class Step(StrEnum):
    """How far an exchange is.

    PREPARED: nothing was moved.
    LEAVING: entries of the old cluster move out; whatever lies in the data directory is its.
    ARRIVING: the old one is out, entries of the new one move in.
    ARRIVED: the new one is in; it may run, and is not trusted yet.
    SERVING: it is; the old one is kept for an undo.
    RETURNING: entries of the new one move out again.
    """

    PREPARED = "prepared"
    LEAVING = "leaving"
    ARRIVING = "arriving"
    ARRIVED = "arrived"
    SERVING = "serving"
    RETURNING = "returning"


class Move(StrEnum):
    """Entries on their way; the words say from where to where."""

    OLD_OUT = "old out"
    NEW_IN = "new in"
    NEW_OUT = "new out"
    OLD_IN = "old in"


FORWARD = ((Step.LEAVING, Move.OLD_OUT), (Step.ARRIVING, Move.NEW_IN))


def way_back(step: Step) -> tuple[tuple[Step, Move], ...]:
    """What has to be written down and moved until the old cluster is in place again.

    It can be broken off anywhere, and asked for again.

    Raises:
        ValueError: the new one serves: that is taken back by an undo.
    """
    old_in = (Step.LEAVING, Move.OLD_IN)
    if step is Step.SERVING:
        raise ValueError("it serves")
    if step is Step.PREPARED:
        return ()
    return (old_in,) if step is Step.LEAVING else ((Step.RETURNING, Move.NEW_OUT), old_in)


def folders_inside(data: str, mounted: Iterable[str]) -> tuple[str, ...]:
    """Folders of a data directory that are mounts of their own, and stay where they are.

    A file of configuration that is mounted is none, and is the same for whatever cluster serves.

    Args:
        data: the data directory.
        mounted: where something is mounted.
    """
    paths = (PurePosixPath(path) for path in mounted)
    found = (p for p in paths if p != PurePosixPath(data) and p.is_relative_to(data))
    return tuple(str(path) for path in found if not path.suffix)


@dataclass(frozen=True)
class Progress:
    """What is written down of an exchange.

    Attributes:
        step: how far it is.
        arriving: folder from which the new cluster's entries come, in the folder of all of them.
        kept: the mark by which the old one is found again once it is kept.
        ran: whether the new one may have served, and so may hold what is nowhere else.
    """

    step: Step
    arriving: str
    kept: str
    ran: bool = False

    def text(self) -> str:
        """As it is written down, in one line."""
        return json.dumps(asdict(self)) + "\n"


def parse_progress(text: str) -> Progress:
    """Read what was written down.

    Raises:
        ValueError: it is something else.
    """
    try:
        found = json.loads(text)
        step, ran = Step(found["step"]), bool(found.get("ran", False))
        return Progress(step, str(found["arriving"]), str(found["kept"]), ran)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no exchange is described by {text[:80]!r}") from error
