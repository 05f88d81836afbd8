"""What of an inventory, or of a manifest, is Archon's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from archon_ops.model.backup import Manifest
from archon_ops.postgres.archon.objects import PREFIX, SCHEMA
from archon_ops.postgres.inventory import read_inventory
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.session import Connection

_OF_TABLE = ("index", "constraint", "trigger", "policy", "rule")
_OF_COLUMN = ("column", "default")
_ITSELF = ("table", "view", "sequence", "type", "statistics")
_ROUTINES = ("SQL function", "function")
# It is read under a lock, so nothing is asked for that cannot be Archon's.
_KINDS = (*_OF_TABLE, *_OF_COLUMN, *_ITSELF, *_ROUTINES)


def is_archons(key: str, labels: frozenset[str]) -> bool:
    """Whether an entry of an inventory describes something of Archon's.

    Args:
        key: "kind identity".
        labels: labels of Archon's objects; relations are also known by their name.
    """
    names = {label.partition(" ")[2] for label in labels if not label.startswith("routine ")}
    for kind in _ROUTINES:
        if key.startswith(f"{kind} {SCHEMA}."):
            return f"routine {key.removeprefix(f'{kind} {SCHEMA}.')}" in labels
    kind, _, identity = key.partition(" ")
    if kind in _OF_TABLE:
        identity = identity.rpartition(" on ")[2]
    if not identity.startswith(f"{SCHEMA}."):
        return False
    name = identity.removeprefix(f"{SCHEMA}.")
    if kind in _OF_COLUMN:
        name = name.partition(".")[0]
    elif kind not in (*_OF_TABLE, *_ITSELF):
        return False
    return name in names or (name.startswith(PREFIX) and kind not in ("type", "statistics"))


def archons_part(manifest: Manifest, labels: frozenset[str]) -> Manifest:
    """A manifest of Archon's objects alone."""
    known = {f"{SCHEMA}.{label.partition(' ')[2]}" for label in labels}
    ours = tuple(t for t in manifest.tables if t.schema == SCHEMA and t.table.startswith(PREFIX))
    positions = tuple(
        s
        for s in manifest.sequences
        if s.schema == SCHEMA and (s.sequence.startswith(PREFIX) or s.name in known)
    )
    objects = {key: value for key, value in manifest.inventory.items() if is_archons(key, labels)}
    return replace(manifest, tables=ours, sequences=positions, inventory=objects)


def read_archons(
    connection: Connection, labels: frozenset[str], *, timeout: float
) -> Mapping[str, str]:
    """The inventory of Archon's objects in service; other schemas are not looked into."""
    others = connection.execute(
        "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname <> %s", [SCHEMA]
    ).fetchall()
    scope = Scope(schemas=tuple(name for (name,) in others))
    found = read_inventory(connection, scope, timeout=timeout, kinds=_KINDS)
    return {key: value for key, value in found.items() if is_archons(key, labels)}
