"""Secrets that a database keeps in its own settings are in no manifest, and told when missing."""

from __future__ import annotations

import pytest

from archon_ops.postgres import databases
from tests.support import Installation

_CANARY = "canary-of-a-jwt-secret"


@pytest.mark.slow
def test_a_secret_setting_is_in_no_file_and_is_named_when_it_is_lost(
    installation: Installation,
) -> None:
    installation.psql(f"ALTER DATABASE postgres SET app.settings.jwt_secret = '{_CANARY}'")
    installation.psql("ALTER DATABASE postgres SET app.settings.jwt_exp = '3600'")
    installation.run("backup").ok()
    held = [
        path
        for path in installation.backups.rglob("*")
        # The dump holds the database, and so this too.
        if path.is_file() and path.suffix != ".dump" and _CANARY.encode() in path.read_bytes()
    ]
    assert not held
    # In place the secret is carried over from the database that is replaced.
    installation.run("restore", "latest", "--scope", "database", "--yes").ok()
    assert _CANARY in str(installation.psql("SHOW app.settings.jwt_secret"))
    with installation.server() as server, server.connect(databases.MAINTENANCE) as connection:
        databases.drop(connection, "postgres")
    done = installation.run("restore", "latest", "--scope", "database", "--yes").ok()
    assert "setting app.settings.jwt_secret has to be set again by hand" in done.stderr
    assert "3600" in str(installation.psql("SHOW app.settings.jwt_exp"))
