"""Manifests on disk: JSON for people, with a digest over itself, so that an edit shows."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from archon_ops.errors import UntrustworthyError
from archon_ops.model.backup import Manifest
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.files import read_limited
from archon_ops.storage.keys import PublicKey, by_fingerprint
from archon_ops.storage.names import manifest_path, shown

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = 1
SIZE_LIMIT = 64 << 20
Sign = Callable[[bytes], tuple[bytes, PublicKey]]
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Signed:
    """Who signed a manifest.

    Attributes:
        key: fingerprint of the key; empty where it is not signed.
        known: whether that is a key of whom one trusts, and its signature holds.
    """

    key: str
    known: bool


def write(dump: Path, manifest: Manifest, run_id: str, sign: Sign | None = None) -> None:
    """Write the manifest of a dump beside it; it is never overwritten.

    Args:
        dump: path of the dump.
        manifest: what it holds.
        run_id: who writes.
        sign: signs bytes with the installation's key; None leaves it unsigned.

    Raises:
        PreconditionError: there is one already, or the folder refuses.
    """
    write_atomic(manifest_path(dump), encode(manifest, sign), run_id)


def encode(manifest: Manifest, sign: Sign | None = None) -> bytes:
    """The file's bytes: indented JSON, its own digest and a signature of the same bytes last."""
    document = _adapter().dump_python(manifest, mode="json")
    sealed = {**document, "digest": _digest(document)}
    if sign is not None:
        signature, key = sign(_canonical(document))
        sealed["signature"] = {"key": key.fingerprint, "value": signature.hex()}
    return (json.dumps(sealed, indent=2, ensure_ascii=False) + "\n").encode()


def read(dump: Path) -> Manifest | None:
    """The manifest of a dump; None where there is none.

    Raises:
        UntrustworthyError: there is one, and it cannot be believed; says why.
    """
    path = manifest_path(dump)
    try:
        data = read_limited(path, SIZE_LIMIT)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _doubt(path, f"cannot be read: {error.strerror}") from error
    return decode(data, path, dump.name)


def decode(data: bytes, path: Path, dump_name: str) -> Manifest:
    """The manifest in a file's bytes, after every check.

    Args:
        data: the bytes.
        path: where they came from, for the message.
        dump_name: the dump beside which they lie.

    Raises:
        UntrustworthyError: they cannot be believed; says why.
    """
    document = _parse(data, path)
    _check_format(document.get("format"), path)
    document.pop("signature", None)
    stated = document.pop("digest", None)
    if stated is None or stated != _digest(document):
        raise _doubt(path, "was changed after it was written (its digest differs)")
    manifest = _validated(document, path)
    if manifest.name != dump_name:
        raise _doubt(path, f"belongs to another backup ({shown(manifest.name)})")
    return manifest


def signed_by(dump: Path, known: Iterable[PublicKey]) -> Signed | None:
    """Who signed the manifest of a dump; None where there is no manifest.

    Args:
        dump: path of the dump; its manifest was found believable.
        known: public keys of whom one trusts.

    Raises:
        UntrustworthyError: it names a known key that did not make its signature.
    """
    path = manifest_path(dump)
    try:
        document = _parse(read_limited(path, SIZE_LIMIT), path)
    except OSError:
        return None
    signature = document.pop("signature", None)
    document.pop("digest", None)
    if not isinstance(signature, dict):
        return Signed("", known=False)
    fingerprint = str(signature.get("key"))
    key = by_fingerprint(known, fingerprint)
    if key is None:
        return Signed(fingerprint, known=False)
    if not key.signed(_canonical(document), _bytes(signature.get("value"))):
        raise _doubt(path, f"bears a signature that the key {fingerprint} did not make")
    return Signed(fingerprint, known=True)


def _bytes(text: object) -> bytes:
    try:
        return bytes.fromhex(str(text))
    except ValueError:
        return b""


def _parse(data: bytes, path: Path) -> dict[str, object]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _doubt(path, "is not JSON") from error
    if not isinstance(document, dict):
        raise _doubt(path, "is not a JSON object")
    return document


def _check_format(number: object, path: Path) -> None:
    if type(number) is not int or number < 1:
        raise _doubt(path, "does not look like one: it has no format number")
    if number > FORMAT:
        raise _doubt(
            path, f"was written by a newer archon_ops (format {number}, this one reads {FORMAT})"
        )


def _validated(document: dict[str, object], path: Path) -> Manifest:
    from pydantic import ValidationError

    try:
        manifest = _adapter().validate_json(_canonical(document), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise _doubt(path, f"is malformed at {where}: {first['msg']}") from error
    if not _plausible(manifest):
        raise _doubt(path, "holds values that cannot be (sizes, digest or times)")
    return manifest


def _plausible(manifest: Manifest) -> bool:
    return (
        manifest.size_bytes >= 0
        and _SHA256.fullmatch(manifest.sha256) is not None
        and _aware(manifest.snapshot_at)
        and _aware(manifest.finished_at)
    )


def _aware(at: datetime) -> bool:
    return at.tzinfo is not None


def _digest(document: dict[str, object]) -> str | None:
    """SHA-256 over the canonical JSON; None for what JSON cannot say (NaN)."""
    try:
        return hashlib.sha256(_canonical(document)).hexdigest()
    except ValueError:
        return None


def _canonical(document: dict[str, object]) -> bytes:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def _doubt(path: Path, why: str) -> UntrustworthyError:
    return UntrustworthyError(f"manifest {shown(path.name)} {why}")


@functools.cache
def _adapter() -> TypeAdapter[Manifest]:
    from pydantic import TypeAdapter  # costs a tenth of a second, so only when used

    return TypeAdapter(Manifest)
