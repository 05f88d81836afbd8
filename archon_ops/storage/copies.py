"""What is written down beside a copy: JSON with a digest over itself, so that an edit shows."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from archon_ops.errors import UntrustworthyError
from archon_ops.model.copies import NOT_SIGNED, Copy
from archon_ops.model.dump_names import is_dump_name
from archon_ops.storage.keys import PublicKey, by_fingerprint

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = 1
SIZE_LIMIT = 1 << 20
FOLDER = "copies"
Sign = Callable[[bytes], tuple[bytes, PublicKey]]
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_SHOWN = 16
_ROLES = ["dump", "manifest"]
_SHA256 = re.compile(r"[0-9a-f]{64}")
# What a copy may name: what lies beside it, never a way out of the place.
_FILE = re.compile(r"archon_postgres-[a-z0-9_.-]+")


def path_of(name: str) -> str:
    """Where what is written down of a copy lies: copies/NAME.json."""
    return f"{FOLDER}/{name.removesuffix('.dump')}.json"


def name_of(path: str) -> str | None:
    """The dump whose copy is written down at this path; None for anything else."""
    folder, _, file = path.rpartition("/")
    name = f"{file.removesuffix('.json')}.dump"
    return name if folder == FOLDER and file.endswith(".json") and is_dump_name(name) else None


def encode(copy: Copy, sign: Sign | None = None) -> bytes:
    """The file's bytes: indented JSON, its own digest and a signature of the same bytes last."""
    document = _adapter().dump_python(copy, mode="json")
    sealed = {**document, "digest": _digest(document)}
    if sign is not None:
        signature, key = sign(_canonical(document))
        sealed["signature"] = {"key": key.fingerprint, "value": signature.hex()}
    return (json.dumps(sealed, indent=2, ensure_ascii=False) + "\n").encode()


def decode(data: bytes, name: str) -> Copy:
    """The copy in a file's bytes, after every check.

    Args:
        data: the bytes.
        name: the dump that they must speak of.

    Raises:
        UntrustworthyError: they cannot be believed; says why.
    """
    try:
        document = json.loads(data)
        if not isinstance(document, dict):
            raise _doubt(name, "is not a JSON object")
        document.pop("signature", None)
        stated = document.pop("digest", None)
        if document.get("format") != FORMAT:
            raise _doubt(name, f"is not of format {FORMAT}")
        if stated != _digest(document):
            raise _doubt(name, "was changed after it was written (its digest differs)")
        copy = _adapter().validate_json(_canonical(document), strict=True)
    except (ValueError, RecursionError) as error:  # pydantic's is a ValueError
        raise _doubt(name, "cannot be read") from error
    if copy.name != name:
        raise _doubt(name, "belongs to another backup")
    if not _plausible(copy):
        raise _doubt(name, "holds values that cannot be")
    return copy


def signed_by(data: bytes, name: str, known: Iterable[PublicKey]) -> str:
    """Who signed what is written down of a copy, for people; `decode` has believed it.

    Args:
        data: the bytes.
        name: of the dump, for the message.
        known: public keys of whom one trusts.

    Raises:
        UntrustworthyError: it names a known key that did not sign this.
    """
    document = json.loads(data)
    signature = document.pop("signature", None)
    document.pop("digest", None)
    if not isinstance(signature, dict):
        return NOT_SIGNED
    fingerprint = str(signature.get("key"))
    key = by_fingerprint(known, fingerprint)
    if key is None:
        return f"signed by key {fingerprint[:_SHOWN]}, not known here"
    if not _SIGNATURE.fullmatch(str(value := signature.get("value"))) or not key.signed(
        _canonical(document), bytes.fromhex(str(value))
    ):
        raise _doubt(name, f"was changed: the key {fingerprint} did not sign it so")
    return "signed"


def _plausible(copy: Copy) -> bool:
    return (
        [file.role for file in copy.files] == _ROLES
        and all(_FILE.fullmatch(file.name) and file.size_bytes >= 0 for file in copy.files)
        and all(_SHA256.fullmatch(file.sha256) for file in copy.files)
        and _SHA256.fullmatch(copy.manifest_sha256) is not None
        and copy.snapshot_at.tzinfo is not None
        and copy.pushed_at.tzinfo is not None
    )


def _digest(document: dict[str, object]) -> str:
    return hashlib.sha256(_canonical(document)).hexdigest()


def _canonical(document: dict[str, object]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _doubt(name: str, why: str) -> UntrustworthyError:
    return UntrustworthyError(f"what is written down of the copy {name} {why}")


@functools.cache
def _adapter() -> TypeAdapter[Copy]:
    from pydantic import TypeAdapter  # costs a tenth of a second, so only when used

    return TypeAdapter(Copy)
