"""The one encrypted credential of the sample, made the way Archon makes them."""

from __future__ import annotations

import base64
import hashlib

SALT = b"static_salt_for_credentials"
ROUNDS = 100_000
VALUE = "sk-sample-credential-that-opens-nothing"


def derived_key(encryption_key: str) -> bytes:
    """The Fernet key (32 bytes, urlsafe base64) that belongs to Archon's ENCRYPTION_KEY."""
    raw = hashlib.pbkdf2_hmac("sha256", encryption_key.encode(), SALT, ROUNDS, 32)
    return base64.urlsafe_b64encode(raw)


def encrypted(value: str, encryption_key: str, *, at: int) -> str:
    """A value as it stands in archon_settings.encrypted_value.

    Args:
        value: the secret.
        encryption_key: Archon's ENCRYPTION_KEY.
        at: Unix time that the token bears.
    """
    from cryptography.fernet import Fernet

    # Fernet's public way takes the clock and a random IV, and two samples would differ. A fixed
    # IV gives nothing away here: one key encrypts this one value, and nobody's secret.
    iv = hashlib.sha256(value.encode()).digest()[:16]
    token = Fernet(derived_key(encryption_key))._encrypt_from_parts(value.encode(), at, iv)
    return base64.urlsafe_b64encode(token).decode()


def decrypted(wrapped: str, encryption_key: str) -> str:
    """The secret in a value of archon_settings.encrypted_value.

    Raises:
        cryptography.fernet.InvalidToken: it was encrypted under another key, or damaged.
    """
    from cryptography.fernet import Fernet

    return Fernet(derived_key(encryption_key)).decrypt(base64.urlsafe_b64decode(wrapped)).decode()
