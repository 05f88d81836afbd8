"""Which encryption key Archon uses, told without telling it."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from archon_ops.model.backup import KeyFingerprint
from archon_ops.settings import archon_secret
from archon_ops.site import Site

_KEY_ROUNDS = 200_000


@contextlib.contextmanager
def key_fingerprint(site: Site) -> Iterator[Future[KeyFingerprint | None]]:
    """Which encryption key Archon uses, told without telling it; computed beside the dump."""
    with ThreadPoolExecutor(1, thread_name_prefix="key") as pool:
        yield pool.submit(_fingerprint_of_today, site)


def _fingerprint_of_today(site: Site) -> KeyFingerprint | None:
    """Fingerprint of Archon's key, None where it is not at hand."""
    secret = archon_secret(site.settings.home(site.name))
    if secret is None:
        return None
    variable, key = secret
    salt = secrets.token_bytes(16)
    digest = hashlib.pbkdf2_hmac("sha256", key.get_secret_value().encode(), salt, _KEY_ROUNDS)
    return KeyFingerprint(variable, salt.hex(), _KEY_ROUNDS, digest.hex())
