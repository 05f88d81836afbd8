"""Which entries of a dump are Archon's, and which of its neighbours' they stand on.

`pg_restore --list --verbose` prints what each entry depends on; that graph, not a list of names,
says what belongs together. Routines are in no graph: what they say tells whose they are.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from archon_ops.errors import UntrustworthyError
from archon_ops.hosts import process
from archon_ops.postgres.archon.definitions import Definition
from archon_ops.postgres.archon.objects import called_by, quoted, says_archon
from archon_ops.postgres.messages import failure
from archon_ops.postgres.tools import Tools

_ENTRY = re.compile(r"^(?P<id>\d+); \d+ \d+ (?P<text>.+)$")
_NEEDS = re.compile(r"^;\s+depends on:(?P<ids>[ \d]+)$")
_READ_SECONDS = 300.0
_ADDED = re.compile(r'\bADD CONSTRAINT (?:([a-z_][\w$]*)|"((?:[^"]|"")+)")')
_OURS = " public archon_"
_RELATIONS = ("TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "FOREIGN TABLE")
_ROUTINES = ("FUNCTION", "PROCEDURE", "AGGREGATE")
_TYPES = ("TYPE", "DOMAIN")
# They bear their table's name in front of their own, which tells ours from neighbours'.
_NAMED_BY_TABLE = (
    *("CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT", "DEFAULT", "POLICY", "ROW SECURITY"),
    *("RULE", "TRIGGER", "TABLE DATA", "TABLE ATTACH", "SEQUENCE SET", "MATERIALIZED VIEW DATA"),
)
# They bear a name of their own; what they depend on says whose they are.
_TIED = ("INDEX", "INDEX ATTACH", "STATISTICS", "SEQUENCE OWNED BY")
_SAID_OF = ("ACL", "COMMENT", "SECURITY LABEL")
_DATA = ("TABLE DATA", "SEQUENCE SET")


@dataclass(frozen=True)
class Entry:
    """One entry of a table of contents.

    Attributes:
        id: by which pg_restore knows it.
        text: what it is: "TABLE public archon_tasks postgres".
        needs: ids of entries that it depends on.
        sql: its definition; empty for data.
        owner: role that owns it; empty where that is not known, as for data.
    """

    id: int
    text: str
    needs: frozenset[int] = frozenset()
    sql: str = ""
    owner: str = ""

    def is_a(self, *kinds: str) -> bool:
        """Whether it is of one of these kinds."""
        return any(self.text.startswith(f"{kind} ") for kind in kinds)

    def is_publics(self, *kinds: str) -> bool:
        """Whether it is of one of these kinds, and in schema public."""
        return any(self.text.startswith(f"{kind} public ") for kind in kinds)

    @property
    def label(self) -> str:
        """Label of what can be moved by itself, as `objects.Thing` has it; else empty."""
        kind, _, name = self._unowned.partition(" public ")
        if kind in _ROUTINES and ")" in name:
            return f"routine {name[: name.rindex(')') + 1].replace(', ', ',')}"
        if kind not in (*_RELATIONS, *_TYPES, "STATISTICS"):
            return ""
        return f"{kind.lower()} {quoted(name)}"

    @property
    def name(self) -> str:
        """The unquoted name of what can be named by schema and name; else empty."""
        kind, _, name = self._unowned.partition(" public ")
        if kind in _ROUTINES:
            return name.partition("(")[0].strip('"')
        if kind == "CONSTRAINT":  # the index behind it bears its name
            match = _ADDED.search(self.sql)
            return (match[1] or match[2].replace('""', '"')) if match else ""
        return name if kind in (*_RELATIONS, *_TYPES, *_OWN_NAMES) else ""

    @property
    def _unowned(self) -> str:
        """The text without the owner at its end, whose name may hold blanks like any other."""
        if self.owner:
            return self.text.removesuffix(f" {self.owner}")
        return self.text.rpartition(" ")[0]


_OWN_NAMES = ("INDEX", "STATISTICS")


@dataclass(frozen=True)
class Selection:
    """What of a dump a restore of Archon alone needs.

    Attributes:
        archon: Archon's entries with their definitions, in the order of the dump.
        support: neighbours' entries that those stand on: schemas, extensions, functions.
        data: Archon's rows and the positions of its sequences.
        publications: publication -> Archon's tables in it, at the time of the backup.
    """

    archon: tuple[Entry, ...]
    support: tuple[Entry, ...]
    data: tuple[Entry, ...]
    publications: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def extensions(self) -> tuple[str, ...]:
        """Names of the extensions that Archon stands on."""
        return tuple(e.text.split()[2] for e in self.support if e.text.startswith("EXTENSION - "))

    @property
    def labels(self) -> frozenset[str]:
        """Labels of all relations, types, routines and statistics in it."""
        return frozenset(entry.label for entry in self.archon if entry.label)

    def owners(self, roles: Iterable[str]) -> frozenset[str]:
        """Those of the roles that something of Archon's belongs to."""
        return frozenset(roles) & {entry.owner for entry in self.archon}

    def routines(self, labels: frozenset[str]) -> dict[str, str]:
        """Label -> definition that replaces the present one, of some routines."""
        return {
            entry.label: re.sub(r"^CREATE (FUNCTION|PROCEDURE)", r"CREATE OR REPLACE \1", entry.sql)
            for entry in self.archon
            if entry.label in labels and entry.is_a(*_ROUTINES)
        }


def read_entries(
    tools: Tools, dump: Path, definitions: Mapping[int, Definition]
) -> tuple[Entry, ...]:
    """Read the table of contents with what depends on what.

    Args:
        tools: programs of the dump's major version or newer.
        dump: a regular file.
        definitions: of its entries by their numbers.

    Raises:
        UntrustworthyError: it cannot be read.
    """
    argv = tools.argv("pg_restore", "--list", "--verbose", str(dump.absolute()))
    done = process.run(argv, timeout=_READ_SECONDS)
    if done.returncode != 0:
        error = failure(done, f"reading the table of contents of {dump.name}")
        raise UntrustworthyError(error.message, f"inv verify {dump.name}")
    return parse(done.stdout, definitions)


def parse(listing: str, definitions: Mapping[int, Definition]) -> tuple[Entry, ...]:
    """The entries of a verbose listing."""
    entries: list[Entry] = []
    for line in listing.split("\n"):
        if match := _ENTRY.match(line):
            number = int(match["id"])
            known = definitions.get(number, Definition(""))
            entries.append(Entry(number, match["text"], sql=known.sql, owner=known.owner))
        elif entries and (match := _NEEDS.match(line)):
            last = entries[-1]
            needs = frozenset(map(int, match["ids"].split()))
            entries[-1] = replace(last, needs=needs)
    return tuple(entries)


def select(entries: tuple[Entry, ...]) -> Selection:
    """Choose Archon's entries and what they stand on."""
    by_id = {entry.id: entry for entry in entries}
    tables = {e.id for e in entries if any(e.text.startswith(k + _OURS) for k in _RELATIONS)}
    tables |= _owned_sequences(entries, tables)
    core = _with_routines(by_id, _with_what_they_use(by_id, tables))
    tied = {e.id for e in entries if _belongs(e, core)}
    said = {e.id for e in entries if e.is_a(*_SAID_OF) and e.needs & (core | tied)}
    archon = core | tied | said
    below = _closure(by_id, archon) - archon
    return Selection(
        archon=tuple(e for e in entries if e.id in archon and not e.is_a(*_DATA)),
        support=tuple(e for e in entries if e.id in below and not e.is_a("SCHEMA - public")),
        data=tuple(e for e in entries if e.id in archon and e.is_a(*_DATA)),
        publications=_publications(entries),
    )


def _with_routines(by_id: Mapping[int, Entry], core: set[int]) -> set[int]:
    """These, and the routines that speak of Archon's tables, and what those call and use."""
    routines = {entry.id: entry for entry in by_id.values() if entry.is_publics(*_ROUTINES)}
    chosen = set(core) | {i for i, r in routines.items() if says_archon(r.name, r.sql)}
    while True:
        said = "\n".join(routines[i].sql for i in chosen & routines.keys())
        called = {i for i, r in routines.items() if called_by(r.name, said)}
        more = _with_what_they_use(by_id, chosen | called)
        if more == chosen:
            return chosen
        chosen = more


def _with_what_they_use(by_id: Mapping[int, Entry], core: set[int]) -> set[int]:
    """These, and the types and routines of schema public that they and theirs stand on."""
    tied = {e.id for e in by_id.values() if _belongs(e, core)}
    below = _closure(by_id, core | tied) - tied
    return core | {i for i in below if by_id[i].is_publics(*_ROUTINES, *_TYPES)}


def _owned_sequences(entries: tuple[Entry, ...], core: set[int]) -> set[int]:
    """Sequences of Archon's columns that do not bear Archon's name."""
    sequences = {e.id for e in entries if e.is_publics("SEQUENCE")}
    tables = core - sequences
    owned = [e for e in entries if e.is_a("SEQUENCE OWNED BY") and e.needs & tables]
    tied = {e.id for e in entries if e.id in sequences and e.needs & tables}
    return tied | {i for e in owned for i in e.needs & sequences}


def _belongs(entry: Entry, core: set[int]) -> bool:
    if not entry.needs & core:
        return False
    ours = any(entry.text.startswith(f"{kind}{_OURS}") for kind in _NAMED_BY_TABLE)
    tied = entry.is_a(*_TIED) and not entry.is_a("STATISTICS DATA")
    return ours or tied or entry.is_a("SEQUENCE SET")


def _closure(by_id: Mapping[int, Entry], start: set[int]) -> set[int]:
    """Everything that these depend on, however indirectly; what is not in the dump is skipped."""
    found: set[int] = set()
    fresh = set(start)
    while fresh:
        fresh = {n for i in fresh for n in by_id[i].needs if n in by_id} - found - start
        found |= fresh
    return found


def _publications(entries: tuple[Entry, ...]) -> dict[str, tuple[str, ...]]:
    """Entries read "PUBLICATION TABLE public supabase_realtime archon_tasks owner"."""
    found: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        if match := re.match(r"PUBLICATION TABLE public (\S+) (archon_\w+) ", f"{entry.text} "):
            found[match[1]].append(match[2])
    return {name: tuple(tables) for name, tables in found.items()}


def listing(entries: Iterable[Entry]) -> str:
    """What `pg_restore --use-list` reads."""
    return "".join(f"{entry.id};\n" for entry in entries)
