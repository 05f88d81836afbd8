"""The schema of a database as a list of objects, each with a digest of its definition."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

# PostgreSQL prints an expression otherwise once it has read its own print back, though it means the
# same: CHECK (x IN ('a', 'b')) on a varchar column casts the array first, then its elements. So
# casts and brackets do not count, but inside of literals and quoted names.
_NAME = r"(?:\"(?:[^\"]|\"\")+\"|[a-z_][a-z0-9_]*)"
_CAST = (
    rf"::(?:{_NAME}\.)?{_NAME}(?: varying| precision)?(?:\([0-9, ]+\))?"
    r"(?: with(?:out)? time zone)?(?:\[\])*"
)
_TOKEN = re.compile(
    rf"(?P<skipped>{_CAST}|[()])|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[\w.$]+|\S", re.ASCII
)
_REPRINTED = frozenset(
    [
        *("constraint", "default", "index", "policy", "publication", "rule"),
        *("statistics", "table", "trigger", "type", "view", "SQL function"),
    ]
)


def definition_digest(kind: str, definition: str) -> str:
    """SHA-256 (first 32 hexadecimal digits) of a definition in a form that survives a restore."""
    text = definition
    if kind in _REPRINTED:
        text = " ".join(m[0] for m in _TOKEN.finditer(definition) if not m["skipped"])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def inventory(objects: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Objects given as (kind, identity, definition) -> "kind identity" -> digest, sorted."""
    digests = {f"{kind} {name}": definition_digest(kind, text) for kind, name, text in objects}
    return dict(sorted(digests.items()))


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> tuple[str, ...]:
    """What is missing, what is there in addition, and what is defined otherwise; one line each."""
    missing = [f"{name}: missing" for name in expected.keys() - found.keys()]
    extra = [f"{name}: not in the backup" for name in found.keys() - expected.keys()]
    other = [
        f"{name}: defined otherwise"
        for name in expected.keys() & found.keys()
        if expected[name] != found[name]
    ]
    return tuple(sorted([*missing, *extra, *other]))
