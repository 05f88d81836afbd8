"""Which alerts have been said, on disk: cron, a watcher and a dashboard say each of them once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from archon_ops.errors import LockedError
from archon_ops.hosts.flock import held
from archon_ops.model.alarms import Said
from archon_ops.model.units import zulu
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.explain import explained
from archon_ops.storage.files import read_limited
from archon_ops.storage.folders import ensure_folder

_NAME = "alerts.json"
_LIMIT = 1 << 20
_LOCK_SECONDS = 10.0


@dataclass
class Memory:
    """What was said.

    Attributes:
        path: the file.
        said: its content, by what it is about.
    """

    path: Path
    said: dict[str, Said]

    def write(self, said: dict[str, Said]) -> None:
        """Remember this instead; nothing is written where nothing changed.

        Raises:
            PreconditionError: the folder refuses, or no space is left.
        """
        if said == self.said:
            return
        document = {
            about: {"state": one.state, "name": one.name, "at": zulu(one.at)}
            for about, one in said.items()
        }
        write_atomic(
            self.path, (json.dumps(document, indent=2) + "\n").encode(), "alerts", overwrite=True
        )


@contextlib.contextmanager
def remembered(state: Path) -> Iterator[Memory]:
    """What was said before, for one who is about to say more; one at a time.

    A file that cannot be understood is begun anew: then everything is said once more.

    Args:
        state: folder of the installation's state.

    Raises:
        LockedError: another one is at it and does not end.
        PreconditionError: the folder refuses.
    """
    ensure_folder(state)
    path = state / _NAME
    with explained("lock", path), held(state / "alerts.lock", timeout=_LOCK_SECONDS) as ours:
        if not ours:
            raise LockedError("another alert is being sent", "try again when that has ended")
        yield Memory(path, _read(path))


def _read(path: Path) -> dict[str, Said]:
    try:
        document = json.loads(read_limited(path, _LIMIT))
        return {
            about: Said(str(one["state"]), str(one["name"]), _time(str(one["at"])))
            for about, one in document.items()
        }
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
