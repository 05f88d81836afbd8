"""The installation's own key pair (Ed25519), which signs evidence and the manifests of backups.

The private half never leaves its file. Whoever holds the public half can check what was signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from archon_ops.errors import PreconditionError
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.explain import explained
from archon_ops.storage.files import read_limited
from archon_ops.storage.folders import ensure_folder

if TYPE_CHECKING:  # cryptography takes a moment, and most commands sign nothing
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

PRIVATE, PUBLIC = "signing-key.pem", "signing-key.pub.pem"
_SIZE_LIMIT = 64 << 10
_FINGERPRINT = 16


@dataclass(frozen=True)
class PublicKey:
    """The half that checks.

    Attributes:
        pem: as it is written to files.
        fingerprint: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes.
    """

    pem: bytes
    fingerprint: str

    def signed(self, data: bytes, signature: bytes) -> bool:
        """Whether the other half made this signature of these bytes."""
        from cryptography.exceptions import InvalidSignature

        try:
            _loaded(self.pem).verify(signature, data)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class Keys:
    """Where the pair lies.

    Attributes:
        state: the installation's folder of state; the keys are in `keys/` below it.
    """

    state: Path

    @property
    def folder(self) -> Path:
        """Where the files are (0700, files 0600)."""
        return self.state / "keys"

    def sign(self, data: bytes) -> tuple[bytes, PublicKey]:
        """The signature of these bytes, and the key that checks it; the pair is made if missing.

        Raises:
            PreconditionError: the key cannot be made, or what is there is none.
        """
        key = self._private()
        return key.sign(data), _public(key.public_key())

    def public(self) -> PublicKey | None:
        """The half that checks; None where nothing was ever signed here.

        Raises:
            PreconditionError: what is there is no key.
        """
        path = self.folder / PUBLIC
        return read_public(path) if path.exists() else None

    def known(self) -> tuple[PublicKey, ...]:
        """Our own public half, and those of others that were put beside it (NAME.pub.pem).

        Raises:
            PreconditionError: one of the files is no key.
        """
        return tuple(read_public(path) for path in sorted(self.folder.glob("*.pub.pem")))

    def _private(self) -> Ed25519PrivateKey:
        path = self.folder / PRIVATE
        if not path.exists():
            self._make(path)
        return _private_in(path)

    def _make(self, path: Path) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        for folder in (self.state, self.folder):
            ensure_folder(folder)
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        try:
            write_atomic(path, pem, "keys")
        except PreconditionError:
            if not path.exists():
                raise  # else another run made it just now, and that one counts
        public = _public(_private_in(path).public_key())
        write_atomic(self.folder / PUBLIC, public.pem, "keys", overwrite=True)


def read_public(path: Path) -> PublicKey:
    """The public key in a PEM file.

    Raises:
        PreconditionError: it cannot be read, or holds no Ed25519 public key.
    """
    with explained("read the key", path):
        pem = read_limited(path, _SIZE_LIMIT)
    try:
        return _public(_loaded(pem))
    except (ValueError, TypeError) as error:
        raise PreconditionError(
            f"{path} is no Ed25519 public key in PEM", f"it begins like {PUBLIC} of an installation"
        ) from error


def by_fingerprint(keys: Iterable[PublicKey], fingerprint: str) -> PublicKey | None:
    """The key of these that has this fingerprint."""
    return next((key for key in keys if key.fingerprint == fingerprint), None)


def _private_in(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    with explained("read the key", path):
        pem = read_limited(path, _SIZE_LIMIT)
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise PreconditionError(f"{path} is no private key: {error}", _LOST) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise PreconditionError(f"{path} is no Ed25519 key", _LOST)
    return key


_LOST = (
    "move it away and a new one is made; evidence signed by the old one then needs its public half"
)


def _loaded(pem: bytes) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = serialization.load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise TypeError("not Ed25519")
    return key


def _public(key: Ed25519PublicKey) -> PublicKey:
    from cryptography.hazmat.primitives import serialization

    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    fingerprint = hashlib.sha256(key.public_bytes_raw()).hexdigest()[:_FINGERPRINT]
    return PublicKey(pem, fingerprint)
