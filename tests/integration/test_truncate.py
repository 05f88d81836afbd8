"""A table that is truncated between its fingerprint and pg_dump's lock must not go unnoticed."""

from __future__ import annotations

import pytest

from tests.support import Installation


@pytest.mark.slow
def test_a_truncated_neighbour_refuses_the_backup(installation: Installation) -> None:
    before = installation.dumps()
    held = installation.spawn("backup", pause_at="backup.dump")
    held.wait_paused("backup.dump")
    installation.psql("TRUNCATE n8n.workflow_entity")
    held.go_on()
    done = held.finish()
    done.ended(1)
    assert "was truncated or rewritten" in done.stderr
    assert installation.dumps() == before
    installation.run("backup").ok()
