"""The rows of people's work: projects, their tasks, their sources, and versions of both."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from archon_ops.rig.table import DAY, Row, Table, columns, identity, moment

STATUSES = ("todo", "doing", "review", "done")
PRIORITIES = ("low", "medium", "high", "critical")
TASKS_PER_PROJECT = 16
# Two thirds of a project's tasks stand alone; the others are subtasks of the first ones.
_PARENTS = 11

_PROJECTS = (
    ("Documentation portal", "One place in which to search everything that the team reads."),
    ("Billing service", "Invoices, payments and reminders, out of the old monolith."),
    ("Mobile client", "The offline-first client for people in the field."),
    ("Data platform", "Nightly loads, quality checks, and a catalogue of what there is."),
)
_ACTIONS = ("Design", "Implement", "Test", "Document", "Review", "Measure", "Simplify", "Release")
_SUBJECTS = ("the search page", "the import", "the login", "the nightly job", "the error messages")
_PEOPLE = ("User", "Archon", "AI IDE Agent", "prp-executor")

_PROJECT = columns(
    "id:uuid title:text description:text docs:jsonb features:jsonb data:jsonb github_repo:text "
    "pinned:bool created_at:timestamptz updated_at:timestamptz"
)
# The enums travel as text.
_TASK = columns(
    "id:uuid project_id:uuid parent_task_id:uuid title:text description:text status:text "
    "assignee:text task_order:int4 priority:text feature:text sources:jsonb code_examples:jsonb "
    "archived:bool archived_at:timestamptz archived_by:text "
    "created_at:timestamptz updated_at:timestamptz"
)
_LINK = columns(
    "id:uuid project_id:uuid source_id:text linked_at:timestamptz created_by:text notes:text"
)
_VERSION = columns(
    "id:uuid project_id:uuid task_id:uuid field_name:text version_number:int4 content:jsonb "
    "change_summary:text change_type:text document_id:text created_by:text created_at:timestamptz"
)


def tables(seed: int, source_ids: tuple[str, ...]) -> tuple[Table, ...]:
    """The four tables, in an order in which foreign keys hold.

    Args:
        seed: decides on the UUIDs.
        source_ids: sources that projects and tasks may name.
    """
    return (
        Table("archon_projects", _PROJECT, _projects(seed)),
        Table("archon_tasks", _TASK, _tasks(seed, source_ids)),
        Table("archon_project_sources", _LINK, _links(seed, source_ids)),
        Table("archon_document_versions", _VERSION, _versions(seed)),
    )


def _projects(seed: int) -> Iterator[Row]:
    for number, (title, about) in enumerate(_PROJECTS):
        repository = f"https://github.com/example/{title.lower().replace(' ', '-')}"
        at = moment(number * DAY)
        yield (
            identity(seed, "project", number),
            title,
            about,
            [_document(title, about, version=2)],
            [{"name": subject, "type": "page"} for subject in _SUBJECTS],
            [{"entity": "user", "fields": ["id", "name"]}],
            repository,
            number == 0,
            at,
            at,
        )


def _document(title: str, about: str, *, version: int) -> dict[str, object]:
    sections = [f"{action} {subject}." for action in _ACTIONS for subject in _SUBJECTS]
    content = {"overview": about, "steps": sections[: 10 * version]}
    return {"title": f"{title}: plan", "document_type": "prp", "version": version, **content}


def _tasks(seed: int, source_ids: tuple[str, ...]) -> Iterator[Row]:
    for project, number in itertools.product(range(len(_PROJECTS)), range(TASKS_PER_PROJECT)):
        subtask = number >= _PARENTS
        parent = identity(seed, "task", project, number - _PARENTS) if subtask else None
        subject = _SUBJECTS[(number + project) % len(_SUBJECTS)]
        title = f"{_ACTIONS[number % len(_ACTIONS)]} {subject}"
        archived = number == _PARENTS - 1
        at = moment(project * DAY + number * 60)
        yield (
            identity(seed, "task", project, number),
            identity(seed, "project", project),
            parent,
            title,
            f"{title}, so that {_PROJECTS[project][1].lower()}",
            STATUSES[number % len(STATUSES)],
            _PEOPLE[(number + project) % len(_PEOPLE)],
            number,
            PRIORITIES[number // len(STATUSES)],
            subject.removeprefix("the "),
            [{"source_id": source_ids[number % len(source_ids)], "relevance": "background"}],
            [],
            archived,
            moment(30 * DAY) if archived else None,
            "User" if archived else None,
            at,
            at,
        )


def _links(seed: int, source_ids: tuple[str, ...]) -> Iterator[Row]:
    for project in range(len(_PROJECTS)):
        for name in source_ids[project : project + 3]:
            row_id = identity(seed, "link", project, name)
            at = moment(project * DAY + 5)
            yield (row_id, identity(seed, "project", project), name, at, "system", None)


def _versions(seed: int) -> Iterator[Row]:
    for project, version in itertools.product(range(len(_PROJECTS)), (1, 2, 3)):
        owner = identity(seed, "project", project)
        content = [_document(*_PROJECTS[project], version=version)]
        yield _version(seed, (owner, None), "docs", version, content)
    for project, version in itertools.product(range(len(_PROJECTS)), (1, 2)):
        owner = identity(seed, "task", project, 0)
        state = {"status": STATUSES[version], "assignee": _PEOPLE[version]}
        yield _version(seed, (None, owner), "data", version, state)


def _version(
    seed: int, owner: tuple[object, object], field: str, version: int, content: object
) -> Row:
    row_id = identity(seed, "version", *owner, field, version)
    kind = "create" if version == 1 else "update"
    at = moment(version * DAY)
    about = f"Version {version} of {field}"
    return (row_id, *owner, field, version, content, about, kind, None, "system", at)
