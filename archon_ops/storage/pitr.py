"""What lies in a backup directory of point-in-time recovery: proofs of labels, and the last look.

pitr/LABEL.json   what the cluster held at the point that was made after the backup of that label
.ops/pitr.json    what was last seen of repositories and archiver, for those who reach no server
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from archon_ops.model.backup import Manifest
from archon_ops.model.pitr.state import State
from archon_ops.storage import manifest as manifests
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.directory import Directory
from archon_ops.storage.explain import explained
from archon_ops.storage.files import read_limited
from archon_ops.storage.folders import ensure_folder

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FOLDER = "pitr"
_LABEL = re.compile(r"\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?")
_LIMIT = 64 << 20


def proof_path(directory: Directory, label: str) -> Path:
    """Where the proof of a label is, without its suffix: what `storage.manifest` calls the dump."""
    return directory.path / FOLDER / label


def write_proof(
    directory: Directory, manifest: Manifest, run_id: str, sign: manifests.Sign
) -> None:
    """Write the proof of a label, whose name the manifest bears.

    Raises:
        PreconditionError: there is one already, or the folder refuses.
    """
    path = proof_path(directory, manifest.name)
    ensure_folder(path.parent)
    manifests.write(path, manifest, run_id, sign)


def read_proof(directory: Directory, label: str) -> Manifest | None:
    """The proof of a label; None where there is none.

    Raises:
        UntrustworthyError: there is one, and it cannot be believed.
    """
    return manifests.read(proof_path(directory, label))


def proven_labels(directory: Directory) -> tuple[str, ...]:
    """Labels that have a proof, believable or not."""
    folder = directory.path / FOLDER
    with explained("read the folder", folder):
        try:
            names = [path.stem for path in folder.iterdir() if path.suffix == ".json"]
        except FileNotFoundError:
            return ()
    return tuple(sorted(name for name in names if _LABEL.fullmatch(name)))


def forget_proofs(directory: Directory, labels: Iterable[str]) -> None:
    """Remove the proofs of labels that are not in any repository any more."""
    for label in labels:
        path = proof_path(directory, label).with_name(f"{label}.json")
        with explained("remove", path):
            path.unlink(missing_ok=True)


def remember(directory: Directory, state: State, run_id: str) -> None:
    """Keep what was seen.

    Raises:
        PreconditionError: the directory refuses.
    """
    ensure_folder(directory.ops)
    data = _adapter().dump_json(state, indent=1)
    write_atomic(_state_path(directory), data, run_id, overwrite=True)


def recall(directory: Directory) -> State | None:
    """What was last seen; None where nothing was, or it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        return _adapter().validate_json(read_limited(_state_path(directory), _LIMIT))
    return None


def _state_path(directory: Directory) -> Path:
    return directory.ops / "pitr.json"


@functools.cache
def _adapter() -> TypeAdapter[State]:
    from pydantic import TypeAdapter  # costs a tenth of a second, so only when used

    return TypeAdapter(State)
