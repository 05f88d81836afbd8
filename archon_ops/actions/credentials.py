"""Archon's encrypted credentials: found in a database, and tried with the key at hand."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

from pydantic import SecretStr

from archon_ops.model.retrieval import Credentials
from archon_ops.postgres.session import Connection, scalar

# How Archon derives its Fernet key.
_SALT = b"static_salt_for_credentials"
_ROUNDS = 100_000
_LIMIT = 100


def read_encrypted(connection: Connection) -> tuple[str, ...]:
    """Encrypted values of Archon's settings, some of them; none where it has no such table."""
    columns = int(
        scalar(
            connection,
            """SELECT count(*) FROM pg_catalog.pg_attribute
               WHERE attrelid = to_regclass('public.archon_settings')
                 AND attname IN ('is_encrypted', 'encrypted_value') AND NOT attisdropped""",
        )
    )
    if columns != 2:
        return ()
    rows = connection.execute(
        """SELECT encrypted_value FROM public.archon_settings
           WHERE is_encrypted AND encrypted_value <> '' LIMIT %s""",
        [_LIMIT],
    ).fetchall()
    return tuple(str(value) for (value,) in rows)


def tried(connection: Connection, secret: tuple[str, SecretStr] | None) -> Credentials:
    """How many of a database's credentials the key decrypts.

    Args:
        connection: session on the database.
        secret: the variable that holds the key, and the key; None where none is at hand.
    """
    encrypted = read_encrypted(connection)
    if secret is None or not encrypted:
        return Credentials(len(encrypted), None, 0)
    opened = sum(map(opener(secret[1].get_secret_value()), encrypted))
    return Credentials(len(encrypted), secret[0], opened)


def opener(key: str) -> Callable[[str], bool]:
    """Tells whether a stored value can be decrypted with a key, which is derived once.

    Args:
        key: Archon's ENCRYPTION_KEY.
    """
    from cryptography.fernet import Fernet, InvalidToken

    raw = hashlib.pbkdf2_hmac("sha256", key.encode(), _SALT, _ROUNDS, 32)
    fernet = Fernet(base64.urlsafe_b64encode(raw))

    def opens(wrapped: str) -> bool:
        try:
            fernet.decrypt(base64.urlsafe_b64decode(wrapped))
        except (InvalidToken, ValueError):  # binascii.Error is a ValueError
            return False
        return True

    return opens
