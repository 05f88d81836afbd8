"""A migration is tried out on a sandbox; production is only asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import Installation

pytestmark = pytest.mark.slow

GOOD = """
-- two locks, one of them held until the end of a transaction
ALTER TABLE archon_tasks ADD COLUMN weight int NOT NULL DEFAULT 1;
BEGIN;
CREATE INDEX weights ON archon_tasks (weight);
INSERT INTO archon_prompts (prompt_name, prompt) VALUES ('100%s', 'x');
COMMIT;
CREATE INDEX CONCURRENTLY titles ON archon_projects (title);
CREATE TABLE archon_later (id int PRIMARY KEY);
"""
BAD = """ALTER TABLE archon_tasks ADD COLUMN weight int;
DELETE FROM archon_prompts;
INSERT INTO archon_tasks
    (title, state)
VALUES ('x', 'y');
DROP TABLE archon_tasks CASCADE;
"""


@pytest.fixture(scope="module")
def running(module_installation: Installation) -> Iterator[Installation]:
    """An installation whose server runs throughout, and whose database nothing touches."""
    with module_installation.server():
        before = module_installation.content()
        yield module_installation
        assert module_installation.content() == before


def written(installation: Installation, name: str, text: str) -> str:
    """A file of SQL in the root folder."""
    path = installation.root / name
    path.write_text(text)
    return name


def test_what_a_migration_does_is_told(running: Installation) -> None:
    files = written(running, "good.sql", GOOD), written(running, "then.sql", "SELECT 1")
    done = running.run("rehearse", files[0], "--then", files[1], "--json").ok().json
    assert done["passed"] is True
    assert [(s["file"], s["line"], s["locks_seen"]) for s in done["statements"]] == [
        ("good.sql", 3, True),
        ("good.sql", 4, True),
        ("good.sql", 5, True),
        ("good.sql", 6, True),
        ("good.sql", 7, True),
        ("good.sql", 8, False),
        ("good.sql", 9, True),
        ("then.sql", 1, True),
    ]
    locks = {held["table"]: (held["mode"], held["waiters"]) for held in done["locks"]}
    assert locks == {"public.archon_tasks": ("AccessExclusiveLock", "readers and writers wait")}
    assert "column public.archon_tasks.weight" in done["objects"]["added"]
    assert "index public.titles on public.archon_projects" in done["objects"]["added"]
    rows = {row["table"]: (row["before"], row["after"]) for row in done["rows"]}
    assert rows["public.archon_later"] == (None, 0)
    before, after = rows["public.archon_prompts"]
    assert after == before + 1
    assert len(done["functions"]["working"]) >= 8
    assert done["functions"]["broken"] == {}


def test_the_failing_statement_is_named_with_its_line(running: Installation) -> None:
    before = running.content()
    done = running.run("rehearse", written(running, "bad.sql", BAD)).ended(1)
    assert "error: bad.sql line 4: statement 3 (INSERT INTO archon_tasks (title, state)" in (
        done.stderr
    )
    assert 'column "state" of relation "archon_tasks" does not exist' in done.stderr
    assert "Failed   bad.sql line 4" in done.stdout
    assert "what ran before it stays done" in done.stdout
    assert "production was not touched" in done.stderr
    whole = running.run("rehearse", written(running, "whole.sql", f"BEGIN; {BAD} COMMIT;"))
    assert "Schema   as before" in whole.ended(1).stdout
    assert "stays done" not in whole.stdout
    assert running.content() == before


def test_a_function_of_archons_that_breaks_is_a_failure(running: Installation) -> None:
    text = "ALTER TABLE archon_code_examples RENAME COLUMN summary TO abstract;"
    done = running.run("rehearse", written(running, "breaks.sql", text), "--json").ended(1)
    assert done.json["passed"] is False
    assert done.json["failure"] is None
    assert any("match_archon_code_examples" in name for name in done.json["functions"]["broken"])
    assert not any("crawled_pages" in name for name in done.json["functions"]["broken"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\\i other.sql", "\\i is a command of psql"),
        ("-- nothing", "holds no statement"),
        ("SELECT 'x", "' never ends"),
    ],
)
def test_what_is_no_migration(running: Installation, text: str, said: str) -> None:
    assert said in running.run("rehearse", written(running, "no.sql", text)).ended(2).stderr
    assert "cannot read" in running.run("rehearse", "missing.sql").ended(3).stderr


def test_a_damaged_backup_is_passed_over(installation: Installation) -> None:
    good = installation.latest_dump().name
    installation.run("backup", "--label", "before-migration").ok()
    dump = installation.latest_dump()
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 1
    dump.write_bytes(data)
    file = written(installation, "m.sql", "BEGIN; SELECT 1;")
    done = installation.run("rehearse", file, "--json").ended(1).json
    assert done["backup"] == good
    assert dump.name in done["passed_over"][0]
    assert "never committed" in done["failure"]["message"]
