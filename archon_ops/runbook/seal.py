"""The seal of a run: a digest of every file, chained to the run before, signed.

    SHA256SUMS       digest of every other file, as sha256sum reads it
    SHA256SUMS.sig   its Ed25519 signature, 64 bytes, as openssl reads it
    chain.json       the run's number, and the digest of the SHA256SUMS before

The chain's head, number and digest of the last run, is kept apart in .archon: without it nobody
could tell whether the newest runs were taken away.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from archon_ops.errors import LockedError, PreconditionError
from archon_ops.hosts import flock
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.explain import explained
from archon_ops.storage.files import sha256_of
from archon_ops.storage.folders import ensure_folder
from archon_ops.storage.keys import Keys

SUMS, SIGNATURE, CHAIN = "SHA256SUMS", "SHA256SUMS.sig", "chain.json"
HEAD = "evidence-head.json"
EXAMPLES = "examples"
FORMAT = 1
_LOCK = "evidence.lock"
_LOCK_SECONDS = 60.0


@dataclass(frozen=True)
class Head:
    """The end of a chain.

    Attributes:
        number: of the run; the first is 1.
        run: name of its folder.
        sha256: of its SHA256SUMS.
    """

    number: int
    run: str
    sha256: str

    @property
    def text(self) -> str:
        """As it is printed, and given to `inv evidence.verify --head`."""
        return f"{self.number}:{self.sha256}"


@dataclass(frozen=True)
class Link:
    """A run's place in the chain: what its chain.json says.

    Attributes:
        run: name of its folder.
        number: counts from 1.
        previous: the run before; None for the first.
        key: fingerprint of the key that signed it.
    """

    run: str
    number: int
    previous: Head | None
    key: str


@contextlib.contextmanager
def sealing(state: Path) -> Iterator[None]:
    """Let one run be sealed at a time.

    Raises:
        LockedError: another one does not finish.
    """
    ensure_folder(state)
    with flock.held(state / _LOCK, timeout=_LOCK_SECONDS) as ours:
        if not ours:
            raise LockedError("another run is being sealed, and does not end", f"look at {state}")
        yield


def seal(folder: Path, final: Path, state: Path, run_id: str) -> Head:
    """Seal the files of a folder that is going to be named `final`; call it within `sealing`.

    Args:
        folder: with every file of the run in it.
        final: its name to be, among the runs before it.
        state: where keys and head are.
        run_id: who writes.

    Returns:
        The new head; `remember` it once the folder has its name.
    """
    keys = Keys(state)
    keys.sign(b"")  # makes the pair, so that its name is known
    public = keys.public()
    before = _last(final.parent, state)
    number = before.number + 1 if before else 1
    link = Link(final.name, number, before, public.fingerprint if public else "")
    _write(folder / CHAIN, {"format": FORMAT, **asdict(link)}, run_id)
    lines = [f"{sha256_of(p)[0]}  {p.name}\n" for p in sorted(folder.iterdir())]
    sums = "".join(lines).encode()
    signature, _ = keys.sign(sums)
    write_atomic(folder / SUMS, sums, run_id)
    write_atomic(folder / SIGNATURE, signature, run_id)
    return Head(number, final.name, hashlib.sha256(sums).hexdigest())


def remember(head: Head, state: Path, run_id: str) -> None:
    """Keep the chain's head apart from the chain."""
    _write(state / HEAD, asdict(head), run_id, overwrite=True)


def head_of(state: Path) -> Head | None:
    """The head that is kept; None where there is none.

    Raises:
        PreconditionError: there is one, and it cannot be read.
    """
    path = state / HEAD
    if not path.exists():
        return None
    try:
        return _head(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise PreconditionError(
            f"{path} cannot be read", "give the head as it was printed: --head NUMBER:SHA256"
        ) from error


def link_of(folder: Path) -> Link | None:
    """What a run's folder says of its place in the chain; None where it says nothing readable."""
    try:
        said = json.loads((folder / CHAIN).read_bytes())
        before = said["previous"]
        previous = _head(before) if before else None
        return Link(str(said["run"]), int(said["number"]), previous, str(said["key"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _head(said: Any) -> Head:
    return Head(int(said["number"]), str(said["run"]), str(said["sha256"]))


def runs(reports: Path) -> tuple[Path, ...]:
    """The folders of runs, by name; hidden ones are being made, examples are not this chain's."""
    if not reports.is_dir():
        return ()
    with explained("read the folder", reports):
        found = sorted(path for path in reports.iterdir() if path.is_dir())
    return tuple(p for p in found if p.name != EXAMPLES and not p.name.startswith("."))


def digest_of(folder: Path) -> str:
    """SHA-256 of a run's SHA256SUMS; empty where it has none."""
    path = folder / SUMS
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _last(reports: Path, state: Path) -> Head | None:
    """What the next run follows: the kept head, or a run that was sealed and not yet kept."""
    kept = head_of(state)
    links = ((link_of(folder), folder) for folder in runs(reports))
    heads = [Head(link.number, f.name, digest_of(f)) for link, f in links if link is not None]
    newest = max(heads, key=lambda head: head.number, default=None)
    if kept is None or (newest is not None and newest.number > kept.number):
        return newest
    return kept


def _write(path: Path, document: dict[str, Any], run_id: str, *, overwrite: bool = False) -> None:
    data = json.dumps(document, indent=2).encode() + b"\n"
    write_atomic(path, data, run_id, overwrite=overwrite)
