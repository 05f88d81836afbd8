"""The document's five disasters: what each means, and which of them fits what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archon_ops.model.units import human_duration


@dataclass(frozen=True)
class Scenario:
    """One disaster and its runbook.

    Attributes:
        number: as in the document.
        runbook: name of its notebook.
        title: for people.
        situation: when it is to be used.
        data_at_risk: what is lost at most.
        expected_seconds: shortest and longest recovery time that the document promises.
        needs_containers: whether it means nothing to a source without containers.
        restores: whether a backup is what mends it.
    """

    number: int
    runbook: str
    title: str
    situation: str
    data_at_risk: str
    expected_seconds: tuple[int, int]
    needs_containers: bool = False
    restores: bool = True


SYSTEM_LOSS = Scenario(
    1,
    "scenario-1-system-loss",
    "Complete system loss",
    "server crash, hardware failure, or complete data loss",
    "what was written since the backup",
    (300, 600),
)
CORRUPTION = Scenario(
    2,
    "scenario-2-database-corruption",
    "Database corruption",
    "the database cannot be read, or its data make no sense",
    "what was written since the backup",
    (120, 300),
)
CONTAINERS = Scenario(
    3,
    "scenario-3-container-deletion",
    "Container deletion",
    "Docker containers or images were deleted by accident; the database is there",
    "nothing: the database is not touched",
    (0, 60),
    needs_containers=True,
    restores=False,
)
DELETION = Scenario(
    4,
    "scenario-4-data-deletion",
    "Accidental data deletion",
    "records deleted, a table cleared, or a wrong update",
    "nothing but what was deleted since the backup; all of it with everything=true",
    (300, 900),
)
MIGRATION = Scenario(
    5,
    "scenario-5-migration-failure",
    "Migration failure",
    "a migration failed, and the schema is neither the old nor the new one",
    "what was written since the backup",
    (120, 900),
)
SCENARIOS = (SYSTEM_LOSS, CORRUPTION, CONTAINERS, DELETION, MIGRATION)


def promise(seconds: Sequence[float]) -> str:
    """Shortest and longest recovery time as a person says it."""
    shortest, longest = seconds
    if not shortest:
        return f"less than {human_duration(longest)}"
    return f"{human_duration(shortest)} to {human_duration(longest)}"


@dataclass(frozen=True)
class Signs:
    """What was seen of a source that is in trouble; one line each, empty where nothing was.

    Attributes:
        gone: why its server or its database is not there any more.
        silent: why it does not answer, though it is there.
        unreadable: tables that cannot be read, and why.
        missing_tables: tables of the backup that are not there.
        missing_rows: tables with fewer rows than the backup.
        missing_services: services whose containers do not exist.
        migration: what speaks for a migration that failed.
        looked: whether the database could be held against a backup at all.
    """

    gone: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    missing_tables: tuple[str, ...] = ()
    missing_rows: tuple[str, ...] = ()
    missing_services: tuple[str, ...] = ()
    migration: tuple[str, ...] = ()
    looked: bool = False


@dataclass(frozen=True)
class Fit:
    """A scenario that fits, and the lines that say why."""

    scenario: Scenario
    reasons: tuple[str, ...]


def fitting(signs: Signs) -> Fit | None:
    """The scenario that explains what was seen; None where nothing speaks for any.

    The gravest goes first, because its recovery mends the lesser ones too. Tables that are missing
    are a migration's doing where one left traces, else somebody's who deleted them.
    """
    if signs.gone:
        return Fit(SYSTEM_LOSS, signs.gone)
    if signs.unreadable:
        return Fit(CORRUPTION, signs.unreadable)
    if signs.migration:
        return Fit(MIGRATION, (*signs.migration, *signs.missing_tables))
    if signs.missing_tables or signs.missing_rows:
        return Fit(DELETION, (*signs.missing_tables, *signs.missing_rows))
    if signs.missing_services:
        return Fit(CONTAINERS, signs.missing_services)
    return None


@dataclass(frozen=True)
class Question:
    """Something only a person knows, and the scenario that a yes means."""

    text: str
    scenario: Scenario


QUESTIONS = (
    Question("Was Archon updated, or a migration run, shortly before?", MIGRATION),
    Question("Are records missing or wrong that were there before?", DELETION),
    Question("Do queries fail, or does the server report errors of its files?", CORRUPTION),
)


def by_runbook(name: str) -> Scenario | None:
    """The scenario of a notebook; None for notebooks that are about none."""
    return next((s for s in SCENARIOS if s.runbook == name), None)


def by_number(number: int) -> Scenario | None:
    """The scenario of this number in the document."""
    return next((s for s in SCENARIOS if s.number == number), None)
