from __future__ import annotations

import base64

import pytest
from cryptography.fernet import InvalidToken

from archon_ops.rig import credential


def test_same_input_same_token() -> None:
    assert credential.encrypted("s", "key", at=1) == credential.encrypted("s", "key", at=1)
    assert credential.encrypted("s", "key", at=1) != credential.encrypted("s", "other", at=1)


def test_is_a_fernet_token_in_base64_and_opens_with_its_key_alone() -> None:
    token = credential.encrypted("secret ✓", "key", at=1_760_000_000)
    assert base64.urlsafe_b64decode(token).startswith(b"gAAAA")
    assert credential.decrypted(token, "key") == "secret ✓"
    with pytest.raises(InvalidToken):
        credential.decrypted(token, "another key")
