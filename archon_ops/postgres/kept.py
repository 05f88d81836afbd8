"""What a restore or an undo took out of service, and the mark by which it is found again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

# What is kept, besides a whole database or a schema with Archon's objects.
CLUSTER = "cluster"
_MARK = "archon_ops kept: "


@dataclass(frozen=True)
class ForeignKey:
    """A key by which a table refers to a neighbour's.

    Attributes:
        table, name: the table and the key.
        definition: as PostgreSQL prints it.
        columns: that refer.
        schema, other: what they refer to.
        others: columns there, in the order of `columns`.
    """

    table: str
    name: str
    definition: str
    columns: tuple[str, ...]
    schema: str
    other: str
    others: tuple[str, ...]

    @property
    def text(self) -> str:
        """For people."""
        return f"key {self.name} of {self.table}"


@dataclass(frozen=True)
class Kept:
    """A database, a schema with Archon's objects, or a whole cluster, that can come back.

    Attributes:
        name: what it is called now.
        database: the database that it was, or is in.
        kept_at: UTC time, RFC 3339, at which it left service.
        run_id: run that took it out.
        replaced_by: what came into service instead: a backup's name, or "undo".
        snapshot: snapshot taken at the switch: later rows of the successor are not in it.
        successor_oid: OID of the database in service since; of an own schema, of its database.
        comment: its own comment while in service.
        scope: "database", "archon" for a schema, or "cluster" for all databases of the server.
        inventory: what came into service, as the inventory describes it: "kind name" -> digest.
        routines: routine -> definition to give back to it, of those that neighbours use too.
        publications: publication -> tables that were in it.
        keys: of its tables to neighbours'; dropped while it is kept.
        migrations: migrations that the successor knew when it came into service.
        size_bytes: bytes that it takes.
    """

    name: str
    database: str
    kept_at: datetime
    run_id: str
    replaced_by: str
    snapshot: str
    successor_oid: int
    comment: str | None
    scope: str = "database"
    inventory: Mapping[str, str] = field(default_factory=dict)
    routines: Mapping[str, str] = field(default_factory=dict)
    publications: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keys: tuple[ForeignKey, ...] = ()
    migrations: tuple[str, ...] = ()
    size_bytes: int = 0

    @property
    def what(self) -> str:
        """What it is, in a word."""
        return {"database": "database", CLUSTER: "cluster"}.get(self.scope, "schema")


def mark(kept: Kept) -> str:
    """The comment by which it is found again."""
    values = {**asdict(kept), "kept_at": kept.kept_at.isoformat()}
    told = {
        k: v for k, v in values.items() if k not in ("name", "size_bytes") and v not in ({}, ())
    }
    return _MARK + json.dumps(told)


def parse_mark(name: str, comment: str | None, size: int) -> Kept | None:
    """The kept thing's own description; None for something that merely bears such a name."""
    if not comment or not comment.startswith(_MARK):
        return None
    try:
        values = json.loads(comment.removeprefix(_MARK))
        values["kept_at"] = datetime.fromisoformat(values["kept_at"])
        values["migrations"] = tuple(values.get("migrations", ()))
        values["keys"] = tuple(map(_key, values.get("keys", ())))
        return Kept(**{**values, "name": name, "size_bytes": size})
    except (ValueError, TypeError, KeyError, AttributeError):  # whoever owns it may comment it
        return None


def _key(values: Mapping[str, Any]) -> ForeignKey:
    columns, others = tuple(values["columns"]), tuple(values["others"])
    return ForeignKey(**{**values, "columns": columns, "others": others})


def newest_first(found: list[Kept]) -> tuple[Kept, ...]:
    """In the order in which they would come back."""
    return tuple(sorted(found, key=lambda kept: (kept.kept_at, kept.name), reverse=True))
