"""GPG, by gpg itself: the document's symmetric AES256, and public keys of its keyring.

Compression is off: a dump is compressed already, and gpg's own takes most of its time.

gpg-agent is a daemon that outlives us with the environment that it was started with. It is only
needed for private keys: nothing else starts it, and it sees no more of our environment than it
needs to find them.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from archon_ops.errors import OpsError, PreconditionError, UntrustworthyError, UsageError
from archon_ops.hosts import process
from archon_ops.storage.cipher.base import TAG_LENGTH, Keys, Write, public_tag
from archon_ops.storage.explain import explained
from archon_ops.storage.files import open_regular

_GPG = (
    *("gpg", "--batch", "--no-tty", "--quiet"),
    *("--pinentry-mode", "loopback", "--no-symkey-cache"),
)
_WITHOUT_AGENT = (*_GPG, "--no-autostart")
_WRITE = ("--cipher-algo", "AES256", "--compress-algo", "none", "--output", "-")
# Rounds for a passphrase: the most there can be; how many is else asked of the agent.
_ROUNDS = ("--s2k-count", "65011712")
_ITS_VARIABLES = ("HOME", "PATH", "GNUPGHOME", "GPG_TTY")
_STALL_SECONDS = 120.0
_INSTALL = "install the package gnupg"
# OpenPGP's tag of a session key that is encrypted with a passphrase, old and new form.
_SYMMETRIC = (0x8C, 0xC3)


@dataclass(frozen=True)
class Gpg:
    """Encryption for keys of the keyring, named by fingerprint, key id or address."""

    readers: tuple[str, ...]
    name: str = "gpg"
    suffix: str = ".gpg"

    def __post_init__(self) -> None:
        for reader in self.readers:
            if not reader or reader.startswith("-") or not reader.isprintable():
                raise UsageError(f"{reader!r} does not name a gpg key", "gpg --list-keys")

    def tag(self, salt: str) -> str:
        """Names these readers."""
        return public_tag(self.name, self.readers, salt)

    def encrypt(self, source: Path, write: Write) -> None:
        """Hand over the ciphertext of a file."""
        # Whoever names a key here trusts it: gpg's own web of trust is not asked.
        names = [word for reader in self.readers for word in ("--recipient", reader)]
        _run(
            [
                *_WITHOUT_AGENT,
                *("--trust-model", "always"),
                *_WRITE,
                *names,
                *("--encrypt", "--", str(source)),
            ],
            write,
        )


@dataclass(frozen=True)
class Symmetric:
    """Encryption with a passphrase: gpg --symmetric --cipher-algo AES256."""

    passphrase: SecretStr
    readers: tuple[str, ...] = ("passphrase",)
    name: str = "gpg"
    suffix: str = ".gpg"

    def tag(self, salt: str) -> str:
        """Names this passphrase, slowly: to guess it by this is no cheaper than by a ciphertext."""
        word = self.passphrase.get_secret_value().encode()
        return hashlib.scrypt(
            word, salt=salt.encode(), n=1 << 15, r=8, p=1, maxmem=1 << 26, dklen=TAG_LENGTH // 2
        ).hex()

    def encrypt(self, source: Path, write: Write) -> None:
        """Hand over the ciphertext of a file."""
        argv = [*_WITHOUT_AGENT, *_ROUNDS, *_WRITE, "--symmetric", "--", str(source)]
        _run(argv, write, self.passphrase)


def decrypt(source: Path, keys: Keys, write: Write) -> None:
    """Hand over the plaintext of a file; the caller keeps nothing of it if this raises.

    Raises:
        PreconditionError: no key or passphrase, or another's; gpg is missing.
        UntrustworthyError: the file is damaged or cut short.
    """
    passphrase = keys.passphrase
    symmetric = _is_symmetric(source)
    if passphrase is None and symmetric:
        if keys.ask is None:
            raise PreconditionError(
                f"{source.name} wants a passphrase, and nobody is here to type it",
                "hand it over by a file descriptor: --passphrase-fd 3 3<FILE",
            )
        passphrase = keys.ask(f"Passphrase of {source.name}: ")
    gpg = _WITHOUT_AGENT if symmetric else _GPG
    _run([*gpg, "--output", "-", "--decrypt", "--", str(source)], write, passphrase)


def _run(argv: list[str], write: Write, passphrase: SecretStr | None = None) -> None:
    with _handed_over(passphrase) as (words, keep):
        command = [argv[0], "--status-fd", "2", *words, *argv[1:]]
        try:
            with process.spawn(command, only=_ITS_VARIABLES, pipe=True, keep=keep) as child:
                for block in child.blocks(_STALL_SECONDS):
                    write(block)
                ended = child.wait(_STALL_SECONDS)
        except PreconditionError as error:
            if "cannot run gpg" not in error.message:
                raise
            raise PreconditionError(error.message, _INSTALL) from error
    if ended.returncode != 0 or "[GNUPG:] DECRYPTION_FAILED" in ended.stderr:
        raise _failure(Path(argv[-1]), ended.stderr)
    decrypting = "--decrypt" in argv
    # Without this a file that was cut off, or has no integrity protection, may look well.
    if decrypting and "[GNUPG:] GOODMDC" not in ended.stderr:
        raise _damaged(Path(argv[-1]))


@contextlib.contextmanager
def _handed_over(passphrase: SecretStr | None) -> Iterator[tuple[list[str], list[int]]]:
    """A passphrase on a pipe: neither in the arguments nor in the environment of gpg."""
    if passphrase is None:
        yield [], []
        return
    reading, writing = os.pipe()
    try:
        os.write(writing, passphrase.get_secret_value().encode() + b"\n")
        os.close(writing)
        yield ["--passphrase-fd", str(reading)], [reading]
    finally:
        os.close(reading)


def _failure(source: Path, said: str) -> OpsError:
    """What gpg's status lines mean."""
    if "NO_SECKEY" in said or "No secret key" in said:
        return PreconditionError(
            f"{source.name} was encrypted for a gpg key that is not in the keyring here",
            "import the private key: gpg --import FILE",
        )
    if "BAD_PASSPHRASE" in said or "Bad session key" in said or "Bad passphrase" in said:
        return PreconditionError(f"the passphrase does not open {source.name}")
    if "INV_RECP" in said:
        return PreconditionError(
            "gpg does not know a recipient, or its key has expired", "gpg --list-keys; gpg --import"
        )
    if "DECRYPTION" in said or "NODATA" in said or "BADMDC" in said or "UNEXPECTED" in said:
        return _damaged(source)
    lines = [line for line in said.splitlines() if line and not line.startswith("[GNUPG:]")]
    return OpsError(f"gpg failed on {source.name}: {lines[-1] if lines else 'it says nothing'}")


def _damaged(source: Path) -> UntrustworthyError:
    return UntrustworthyError(
        f"{source.name} is damaged or cut short: it does not decrypt; nothing was kept",
        "take another copy: inv offsite.list",
    )


def _is_symmetric(source: Path) -> bool:
    """Whether the first thing in a file is a session key that a passphrase opens."""
    with explained("read", source), os.fdopen(open_regular(source), "rb") as file:
        head = file.read(1024)
    if head.startswith(b"-----BEGIN PGP"):
        _, _, text = head.replace(b"\r", b"").partition(b"\n\n")
        with contextlib.suppress(ValueError):
            head = base64.b64decode(text[:4])
    return bool(head) and head[0] in _SYMMETRIC
