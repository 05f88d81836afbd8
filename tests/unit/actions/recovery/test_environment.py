"""A .env out of .env.example, and what a person has to fill in."""

from __future__ import annotations

from pathlib import Path

import pytest

from archon_ops.actions.recovery.environment import prepare
from archon_ops.errors import PreconditionError

EXAMPLE = """# what Archon needs
SUPABASE_URL=
SUPABASE_SERVICE_KEY=your-key-here
ENCRYPTION_KEY=<from the password manager>
HOST=localhost
BACKUP_ON_START=false
"""


def test_made_from_the_example_and_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text(EXAMPLE)
    done = prepare(tmp_path, "run")
    assert done.made
    assert done.empty == ("SUPABASE_URL", "SUPABASE_SERVICE_KEY", "ENCRYPTION_KEY")
    assert done.file.read_text() == EXAMPLE
    assert done.file.stat().st_mode & 0o777 == 0o600


def test_one_that_is_there_is_never_changed(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text(EXAMPLE)
    mine = "SUPABASE_URL=http://here\nENCRYPTION_KEY=\n"
    (tmp_path / ".env").write_text(mine)
    done = prepare(tmp_path, "run")
    assert not done.made
    assert done.file.read_text() == mine
    assert set(done.empty) == {
        "ENCRYPTION_KEY",
        "SUPABASE_SERVICE_KEY",
        "HOST",
        "BACKUP_ON_START",
    }


def test_neither_of_them(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match=r"\.env\.example"):
        prepare(tmp_path, "run")
