"""Which way of encryption is meant, and decryption by what a file says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

from archon_ops.errors import UntrustworthyError, UsageError
from archon_ops.storage.cipher import age, gpg
from archon_ops.storage.cipher.base import Cipher, Keys, Write, encrypted_with

_AGE = ("age1", "ssh-ed25519 ", "ssh-rsa ")


def cipher_for(recipients: Sequence[str], passphrase: SecretStr | None) -> Cipher | None:
    """The way of encryption that these recipients mean; None where there are none.

    Args:
        recipients: age1… and ssh-… are age's, anything else names a gpg key.
        passphrase: for gpg's symmetric encryption, where there are no recipients.

    Raises:
        UsageError: both kinds are mixed, or one is malformed.
    """
    ages = [text for text in recipients if text.startswith(_AGE)]
    if ages and len(ages) < len(recipients):
        raise UsageError(
            "recipients of age and of gpg cannot be mixed in one copy",
            "make two places, one for each",
        )
    if ages:
        return age.Age(tuple(ages))
    if recipients:
        return gpg.Gpg(tuple(recipients))
    return gpg.Symmetric(passphrase) if passphrase and passphrase.get_secret_value() else None


def decrypt(source: Path, keys: Keys, write: Write) -> None:
    """Hand over the plaintext of a file; what was handed over counts only when this returns.

    Args:
        source: the ciphertext.
        keys: what there is to decrypt with.
        write: takes blocks.

    Raises:
        PreconditionError: the key is missing or is another's.
        UntrustworthyError: it is damaged, or not encrypted.
    """
    way = encrypted_with(source)
    if way is None:
        raise UntrustworthyError(f"{source} is not encrypted with age or gpg")
    if way == "age":
        age.decrypt(source, keys, write)
    else:
        gpg.decrypt(source, keys, write)
