"""A whole cluster that is about to replace another: who loses what, before anything is done."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from archon_ops.model.units import human_size

_ENTRY = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^,]+))\s*(?:,|$)')


def quoted(name: str) -> str:
    """A database's name as a list has it: in double quotes where it would not be read as it is."""
    plain = name.isprintable() and name == name.strip() and not set(name) & set('",')
    return name if name and plain else '"{}"'.format(name.replace('"', '""'))


def listed(text: str) -> tuple[str, ...]:
    """The names of such a list."""
    found = _ENTRY.findall(text)
    return tuple(q.replace('""', '"') if q else n.strip() for q, n in found if q or n.strip())


def settings_of(text: str) -> frozenset[str]:
    """The lines of a configuration file that say something."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return frozenset(line for line in lines if line)


@dataclass(frozen=True)
class DatabaseLoss:
    """What one live database loses.

    Attributes:
        name: of the database.
        rows: rows that were inserted or changed after the moment; None where that cannot be told.
        definitions: entries of its catalogs that were; None likewise.
        created: whether it was made after the moment, and so goes as a whole.
        problem: why it cannot be told.
        gone: rows and definitions of then that were deleted or changed, and come back.
    """

    name: str
    rows: int | None
    definitions: int | None
    created: bool = False
    problem: str = ""
    gone: int = 0

    @property
    def loses(self) -> bool:
        """Whether it loses anything, as far as can be told: what is not known counts as lost."""
        return self.created or (self.rows, self.definitions, self.gone) != (0, 0, 0)

    @property
    def text(self) -> str:
        """For people."""
        if self.created:
            return "was made since, and is not there afterwards"
        if self.rows is None or self.definitions is None:
            return f"all that was written since, which cannot be counted: {self.problem}"
        if not self.loses:
            return "nothing: no row was written since"
        back = f"{self.gone} deleted or changed since come back" if self.gone else ""
        found = [f"{self.rows} rows"] if self.rows else []
        found += [f"{self.definitions} definitions"] if self.definitions else []
        written = f"{' and '.join(found)} written since" if found else ""
        return ", ".join(filter(None, (written, back)))


@dataclass(frozen=True)
class ReplacementPlan:
    """A cluster that replaces another, decided but not done.

    Attributes:
        target: the target as it has to be typed where nothing is lost.
        container: whose cluster it is.
        what: what comes instead, for people.
        databases: what each live database loses.
        coming: databases that come with it and are not there now.
        slots: replication slots, which go with the cluster that leaves.
        kept_bytes: about how much the one that leaves takes beside the other; None: not known.
        notes: what else to know.
        shared: roles, databases and settings that were made or changed since; None: not known.
        unknown: why nothing at all is known of what is lost; empty where it is.
    """

    target: str
    container: str
    what: str
    databases: tuple[DatabaseLoss, ...]
    coming: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    kept_bytes: int | None = None
    notes: tuple[str, ...] = ()
    shared: int | None = None
    unknown: str = ""

    @property
    def losing(self) -> tuple[str, ...]:
        """Every database that loses something."""
        return tuple(sorted(found.name for found in self.databases if found.loses))

    @property
    def typed(self) -> str:
        """What a person types to go on: the list of those that lose, else the target."""
        return ", ".join(map(quoted, self.losing)) or self.target

    def names(self, text: str) -> bool:
        """Whether a text lists exactly the databases that lose something, in whatever order."""
        return sorted(listed(text)) == list(self.losing)

    def text(self) -> str:
        """For a person who has to decide."""
        lines = [
            f"Replace  the whole cluster of container {self.container}, every database of it",
            f"By       {self.what}",
            f"Into     {self.target}",
            "After    the present cluster is kept; inv undo brings it back",
        ]
        if self.kept_bytes:
            lines.append(f"Room     it goes on taking {human_size(self.kept_bytes)} until then")
        if self.unknown:
            lines.append(f"Loss     all that was written since, not known how much: {self.unknown}")
        lines += [f"Loss     {found.name}: {found.text}" for found in self.databases]
        if self.shared:
            lines.append(
                f"Loss     {self.shared} roles, databases or settings made or changed since"
            )
        lines += [f"Back     {name} comes back, which is not there now" for name in self.coming]
        if self.slots:
            lines.append(f"Note     replication slots go with what leaves: {', '.join(self.slots)}")
        return "\n".join((*lines, *(f"Note     {note}" for note in self.notes)))

    def document(self) -> dict[str, Any]:
        """For --json."""
        return {
            "target": self.target,
            "container": self.container,
            "losing": list(self.losing),
            "databases": [
                {
                    "name": found.name,
                    "rows": found.rows,
                    "definitions": found.definitions,
                    "gone": found.gone,
                    "created": found.created,
                    "problem": found.problem or None,
                }
                for found in self.databases
            ],
            "shared": self.shared,
            "coming": list(self.coming),
            "slots": list(self.slots),
            "notes": list(self.notes),
            "unknown": self.unknown or None,
        }
