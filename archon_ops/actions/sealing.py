"""Encrypt and decrypt single files; what is wrong never leaves half a file under a name."""

from __future__ import annotations

import os
from pathlib import Path

from archon_ops.actions.offsite.here import open_file
from archon_ops.errors import PreconditionError, UsageError
from archon_ops.storage.atomic import Temporary
from archon_ops.storage.cipher import Cipher, Keys, plain_name
from archon_ops.storage.files import sha256_of
from archon_ops.storage.sweep import sweep_temporary

_RUN = "sealing"


def encrypt(file: Path, cipher: Cipher) -> Path:
    """Encrypt a file beside itself.

    Returns:
        Where the ciphertext lies.

    Raises:
        PreconditionError: the file cannot be read, or the name of its ciphertext is taken.
    """
    target = file.with_name(file.name + cipher.suffix)
    _require_free(target)
    sha256_of(file)  # what cannot be read is told as such, and not as a fault of the cipher
    with Temporary(file.parent, _RUN) as temporary:
        cipher.encrypt(file, temporary.write)
        temporary.publish(target)
    return target


def decrypt(file: Path, keys: Keys) -> tuple[Path, str]:
    """Decrypt a file beside itself.

    Returns:
        Where the plaintext lies, and its SHA-256.

    Raises:
        UsageError: its name does not say that it is encrypted.
        UntrustworthyError: it is damaged; no plaintext is left.
    """
    target = file.with_name(plain_name(file.name))
    if target == file:
        raise UsageError(f"{file.name} ends in neither .age nor .gpg", "rename it first")
    _require_free(target)
    return target, open_file(file, target, keys, _RUN)


def _require_free(target: Path) -> None:
    sweep_temporary(target.parent)  # a run that was killed may have left plaintext
    if os.path.lexists(target):
        raise PreconditionError(f"{target} exists already and is not overwritten")
