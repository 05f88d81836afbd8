"""What every way of encryption can do, and what reading needs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from archon_ops.storage.sniff import what_is

Write = Callable[[bytes], None]
TAG_LENGTH = 16
SUFFIXES = {".age": "age", ".gpg": "gpg"}


class Cipher(Protocol):
    """A way of encryption, for those who shall be able to read.

    Attributes:
        name: "age" or "gpg".
        suffix: what it appends to a file's name.
        readers: who can decrypt, as it may be written down: public keys, or "passphrase".
    """

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def suffix(self) -> str:
        """What it appends to a file's name."""

    @property
    def readers(self) -> tuple[str, ...]:
        """Who can decrypt."""

    def tag(self, salt: str) -> str:
        """Names these readers; the same again only for the same. Tells nothing of a passphrase.

        Args:
            salt: what makes it another one for every backup.
        """

    def encrypt(self, source: Path, write: Write) -> None:
        """Hand over the ciphertext of a file, block by block.

        Raises:
            PreconditionError: a recipient is none, or gpg or a key of it is missing.
        """


@dataclass(frozen=True)
class Keys:
    """What there is to decrypt with.

    Attributes:
        identity: file with private age keys.
        passphrase: of a symmetric gpg file, or of a private gpg key.
        ask: asks a person for a passphrase; None where nobody is there.
    """

    identity: Path | None = None
    passphrase: SecretStr | None = None
    ask: Callable[[str], SecretStr] | None = None


def public_tag(name: str, readers: tuple[str, ...], salt: str) -> str:
    """The tag of readers who are no secret."""
    return hashlib.sha256("\n".join((name, salt, *readers)).encode()).hexdigest()[:TAG_LENGTH]


def encrypted_with(path: Path) -> str | None:
    """The way in which a file is encrypted, told from its first bytes: "age", "gpg" or None.

    Raises:
        PreconditionError: it is no regular file, or cannot be read.
    """
    looks_like = what_is(path)
    return next((way for way in ("age", "gpg") if looks_like.endswith(f"with {way}")), None)


def plain_name(name: str) -> str:
    """The name of a file without what a cipher appended to it."""
    return next((name.removesuffix(s) for s in SUFFIXES if name.endswith(s)), name)
