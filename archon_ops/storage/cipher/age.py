"""age, by pyrage: X25519 and SSH recipients; the private key need not be on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from archon_ops.errors import OpsError, PreconditionError, UntrustworthyError, UsageError
from archon_ops.storage.cipher.base import Keys, Write, public_tag
from archon_ops.storage.explain import explained
from archon_ops.storage.files import open_regular, read_limited

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEY_FILE_LIMIT = 1 << 20
_READ_AHEAD = 1 << 20


@dataclass(frozen=True)
class Age:
    """Encryption for age recipients.

    Attributes:
        readers: age1… or ssh-… public keys.

    Raises:
        UsageError: one is malformed.
    """

    readers: tuple[str, ...]
    name: str = "age"
    suffix: str = ".age"

    def __post_init__(self) -> None:
        _recipients(self.readers)

    def tag(self, salt: str) -> str:
        """Names these readers."""
        return public_tag(self.name, self.readers, salt)

    def encrypt(self, source: Path, write: Write) -> None:
        """Hand over the ciphertext of a file."""
        import pyrage

        out = _Writer(write)
        with explained("read", source), _opened(source) as file:
            try:
                pyrage.encrypt_io(file, out, _recipients(self.readers))
            except (pyrage.EncryptError, OSError) as error:
                out.raise_own()
                raise OpsError(f"cannot encrypt {source}: {error}") from error
        out.flush_rest()


def decrypt(source: Path, keys: Keys, write: Write) -> None:
    """Hand over the plaintext of a file; the caller keeps nothing of it if this raises.

    Raises:
        PreconditionError: no key, or another's.
        UntrustworthyError: the file is damaged or cut short.
    """
    import pyrage

    if keys.identity is None:
        raise PreconditionError(
            f"{source.name} is encrypted with age, and no key was given",
            "name the file that holds it: --identity FILE",
        )
    identities = _identities(keys.identity)
    out = _Writer(write)
    with _opened(source) as file:
        try:
            pyrage.decrypt_io(file, out, identities)
        except (pyrage.DecryptError, OSError) as error:
            out.raise_own()
            if "No matching keys" in str(error):
                raise PreconditionError(
                    f"{source.name} was not encrypted for the key in {keys.identity}",
                    "name the file that holds the right one: --identity FILE",
                ) from error
            raise UntrustworthyError(
                f"{source.name} is damaged or cut short: it does not decrypt; nothing was kept",
                "take another copy: inv offsite.list",
            ) from error
    out.flush_rest()


class _Writer:
    """What pyrage writes to: 64 KB at a time become large blocks, and our own errors stay ours."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._waiting = bytearray()
        self._error: BaseException | None = None

    def write(self, data: bytes) -> int:
        self._waiting += data
        if len(self._waiting) >= _READ_AHEAD:
            self.flush_rest()
        return len(data)

    def flush(self) -> None:
        """Nothing: our caller decides when the rest is handed over."""

    def flush_rest(self) -> None:
        """Hand over what still waits."""
        block, self._waiting = bytes(self._waiting), bytearray()
        try:
            if block:
                self._write(block)
        except BaseException as error:
            self._error = error
            raise

    def raise_own(self) -> None:
        """Raise what our own writing raised: pyrage makes an error of its own of it."""
        if self._error is not None:
            raise self._error


def _opened(path: Path) -> BinaryIO:
    with explained("read", path):
        return os.fdopen(open_regular(path), "rb", buffering=_READ_AHEAD)


def _recipients(texts: Sequence[str]) -> list[Any]:
    import pyrage

    found = []
    for text in texts:
        kind = pyrage.x25519 if text.startswith("age1") else pyrage.ssh
        try:
            found.append(kind.Recipient.from_str(text))
        except pyrage.RecipientError as error:
            raise UsageError(
                f"{text!r} is not an age recipient", "the public key that age-keygen printed: age1…"
            ) from error
    return found


def _identities(path: Path) -> list[Any]:
    """The private keys of a file, as age-keygen or ssh-keygen wrote it."""
    import pyrage

    with explained("read the key file", path):
        text = read_limited(path, _KEY_FILE_LIMIT).decode(errors="replace")
    try:
        if "OPENSSH PRIVATE KEY" in text or "RSA PRIVATE KEY" in text:
            return [pyrage.ssh.Identity.from_buffer(text.encode())]
        lines = [line.strip() for line in text.splitlines()]
        keys = [line for line in lines if line and not line.startswith("#")]
        found = [pyrage.x25519.Identity.from_str(key) for key in keys]
    except pyrage.IdentityError as error:
        raise UsageError(
            f"{path} is not a file of age keys", "the file that age-keygen wrote"
        ) from error
    if not found:
        raise UsageError(f"{path} holds no age key", "the file that age-keygen wrote")
    return found
