"""`inv recover` on an installation that was really ruined."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable

import pytest

from tests.support import Installation
from tests.terminal import ASKED, typed

pytestmark = pytest.mark.slow

FAILED = (
    "ALTER TABLE public.archon_tasks ADD COLUMN estimate integer",
    "ALTER TABLE public.archon_tasks DROP COLUMN feature",
)


def _lose(installation: Installation) -> None:
    shutil.rmtree(installation.site().cluster.data_folder)


def _corrupt(installation: Installation) -> None:
    installation.psql("CHECKPOINT")
    path = installation.psql("SELECT pg_relation_filepath('public.archon_sources')")
    with (installation.site().cluster.data_folder / path).open("r+b") as file:
        file.write(os.urandom(8192))


def _delete(installation: Installation) -> None:
    installation.psql("DELETE FROM public.archon_tasks WHERE task_order >= 0")


def _fail(installation: Installation) -> None:
    for statement in FAILED:
        installation.psql(statement)


@pytest.mark.parametrize(
    ("ruin", "number", "why"),
    [
        (_lose, 1, "there is no database server"),
        (_corrupt, 2, "public.archon_sources: invalid page"),
        (_delete, 4, "public.archon_tasks: 0 rows"),
        (_fail, 5, "column public.archon_tasks.feature: missing"),
    ],
    ids=["system-loss", "corruption", "deletion", "migration"],
)
def test_it_recognises_the_disaster_and_mends_it(
    installation: Installation, ruin: Callable[[Installation], None], number: int, why: str
) -> None:
    before = installation.content()
    ruin(installation)
    done = installation.run("recover", "--yes").ok()
    assert f"\nScenario {number}: " in done.stderr, done
    assert f"\nWhy      {why}" in done.stderr, done
    assert f"\nBackup   {installation.latest_dump().name} (" in done.stderr, done
    (folder,) = (installation.root / "reports").iterdir()
    found = json.loads((folder / "evidence.json").read_text())
    assert (found["verdict"], found["identity"]["mode"]) == ("PASS", "live"), done
    assert f"\nTarget   {found['more']['target']}\n" in done.stderr, done
    after = installation.content()
    assert (after.tables, after.inventory) == (before.tables, before.inventory)


def test_a_sound_source_is_left_alone(
    module_installation: Installation,
) -> None:
    before = module_installation.content()
    done = module_installation.run("recover", "--yes").ended(3)
    assert "--scenario N" in done.stderr
    assert module_installation.run("recover", "--scenario", "6").returncode == 2
    done = module_installation.run("recover", "--scenario", "4", "-p", "mode=drill").ended(2)
    assert "mode" in done.stderr
    done = module_installation.run("recover", "--scenario", "4").ended(3)
    assert "it was asked for (--scenario)" in done.stderr
    assert "--yes" in done.stderr
    assert module_installation.content() == before


QUESTIONS = ("shortly before? [y/N] ", "there before? [y/N] ", "of its files? [y/N] ")


def test_on_a_terminal_it_asks_three_plain_questions_and_then_for_the_target(
    module_installation: Installation,
) -> None:
    installation, (first, second, third) = module_installation, QUESTIONS
    before = installation.content()
    code, screen = typed(installation, "recover", answers=[(first, "n"), (second, "\x03")])
    assert code == 130
    assert "stopped by SIGINT" in screen.splitlines()[-1], "it begins a line of its own"
    assert "[y/N]" not in screen.splitlines()[-1]
    code, screen = typed(installation, "recover", answers=[(first, "huh"), (first, "\x04")])
    assert code == 3
    assert "there was no answer, nothing was changed" in screen
    answers = [(first, "no"), (second, ""), (third, "y"), (ASKED, "yes")]
    code, screen = typed(installation, "recover", answers=answers)
    assert code == 3, screen
    assert "Scenario 2" in screen
    assert "Why      you said yes to: Do queries fail" in screen
    assert "not confirmed, nothing was changed" in screen
    assert installation.content() == before


def test_it_stops_where_a_person_has_to_decide(module_installation: Installation) -> None:
    before = module_installation.content()
    first, second, _ = QUESTIONS
    answers = [(first, "n"), (second, "y"), (ASKED, None)]
    code, screen = typed(module_installation, "recover", answers=answers)
    assert code == 5, screen
    said = (module_installation.root / "said").read_text()
    assert "which rows are wrong, a person has to say" in said
    assert module_installation.content() == before


def test_no_backup_that_can_be_trusted(installation: Installation) -> None:
    dump = installation.latest_dump()
    dump.write_bytes(dump.read_bytes()[:-1])
    _lose(installation)
    done = installation.run("recover", "--yes").ended(3)
    assert "can be trusted" in done.stderr
    assert dump.name in done.stderr
    assert not installation.site().cluster.exists()
