"""What later looks at a backup found, kept beside it: the manifest itself never changes."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING

from archon_ops.errors import UntrustworthyError
from archon_ops.model.backup import Verification
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.files import read_limited
from archon_ops.storage.names import shown, verify_path

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = 1
SIZE_LIMIT = 16 << 20
# An hourly look fills this in a week; the last proof by a restore is kept beyond it.
KEPT = 200


def append_verification(dump: Path, verification: Verification, run_id: str) -> None:
    """Add a look to those of a dump; call it with the directory's lock held.

    A file of results that cannot be read is begun anew: this look stands on its own.

    Raises:
        PreconditionError: the folder refuses, or no space is left.
    """
    try:
        earlier = read_verifications(dump)
    except UntrustworthyError:
        earlier = ()
    kept = _newest((*earlier, verification))
    document = {
        "format": FORMAT,
        "verifications": _adapter().dump_python(kept, mode="json"),
    }
    data = (json.dumps(document, indent=2) + "\n").encode()
    write_atomic(verify_path(dump), data, run_id, overwrite=True)


def read_verifications(dump: Path) -> tuple[Verification, ...]:
    """The looks at a dump, oldest first; none where there is no file of them.

    Raises:
        UntrustworthyError: there is a file, and it cannot be read.
    """
    path = verify_path(dump)
    try:
        return _decoded(read_limited(path, SIZE_LIMIT))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _damaged(path, str(error.strerror)) from error
    except (ValueError, RecursionError) as error:  # pydantic's error is a ValueError
        raise _damaged(path, str(error).splitlines()[0]) from error


def _decoded(data: bytes) -> tuple[Verification, ...]:
    document = json.loads(data)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}")
    found = _adapter().validate_json(json.dumps(document.get("verifications")), strict=True)
    if any(look.at.tzinfo is None for look in found):
        raise ValueError("a time has no zone")
    return found


def _newest(looks: tuple[Verification, ...]) -> tuple[Verification, ...]:
    old, kept = looks[:-KEPT], looks[-KEPT:]
    proofs = [look for look in old if look.passed and look.method == "restore"]
    return (*proofs[-1:], *kept)


def _damaged(path: Path, why: str) -> UntrustworthyError:
    return UntrustworthyError(
        f"verification results {shown(path.name)} cannot be read: {why}",
        "inv verify makes new ones",
    )


@functools.cache
def _adapter() -> TypeAdapter[tuple[Verification, ...]]:
    from pydantic import TypeAdapter  # costs a tenth of a second, so only when used

    return TypeAdapter(tuple[Verification, ...])
