"""Which of the document's disasters fits what was seen."""

from __future__ import annotations

import pytest

from archon_ops.model.scenario import (
    CONTAINERS,
    CORRUPTION,
    DELETION,
    MIGRATION,
    QUESTIONS,
    SCENARIOS,
    SYSTEM_LOSS,
    Scenario,
    Signs,
    by_number,
    by_runbook,
    fitting,
)


def test_five_scenarios_as_the_document_numbers_them() -> None:
    assert [s.number for s in SCENARIOS] == [1, 2, 3, 4, 5]
    assert all(by_runbook(s.runbook) is s and by_number(s.number) is s for s in SCENARIOS)
    assert by_runbook("recovery-drill") is None
    assert by_number(6) is None


def test_nothing_seen_fits_nothing() -> None:
    assert fitting(Signs(looked=True)) is None


@pytest.mark.parametrize(
    ("signs", "scenario"),
    [
        (Signs(gone=("a",)), SYSTEM_LOSS),
        (Signs(unreadable=("a",)), CORRUPTION),
        (Signs(missing_services=("a",)), CONTAINERS),
        (Signs(missing_rows=("a",)), DELETION),
        (Signs(missing_tables=("a",)), DELETION),
        (Signs(migration=("a",)), MIGRATION),
    ],
)
def test_one_sign_means_one_scenario_and_is_its_reason(signs: Signs, scenario: Scenario) -> None:
    found = fitting(signs)
    assert found is not None
    assert found.scenario is scenario
    assert found.reasons == ("a",)


def test_the_gravest_goes_first() -> None:
    signs = Signs(("1",), (), ("2",), (), ("4",), ("3",), ("5",))
    seen = []
    for cleared in ({}, {"gone": ()}, {"unreadable": ()}, {"migration": ()}, {"missing_rows": ()}):
        signs = Signs(**{**signs.__dict__, **cleared})
        found = fitting(signs)
        assert found is not None
        seen.append(found.scenario.number)
    assert seen == [1, 2, 5, 4, 3]


def test_tables_that_a_migration_took_are_its_doing() -> None:
    found = fitting(Signs(missing_tables=("archon_tasks",), migration=("failed",)))
    assert found is not None
    assert found.scenario is MIGRATION
    assert found.reasons == ("failed", "archon_tasks")


def test_three_plain_questions() -> None:
    assert [q.scenario.number for q in QUESTIONS] == [5, 4, 2]
    assert all(q.text.endswith("?") for q in QUESTIONS)
