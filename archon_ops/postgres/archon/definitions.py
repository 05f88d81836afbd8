"""Archon's definitions as a dump prints them, and the same for another schema.

A dump says `public.archon_tasks` everywhere, in keys, defaults and policies, always qualified. To
build beside, that one word is replaced, in code and nowhere else: not in texts, not in function
bodies, which look names up when they run. A scratch database could rename them too, but only for a
role that may make databases and extensions, and Supabase's may not. Whatever this gets wrong the
proof finds, in the transaction that puts it in place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from archon_ops.errors import UntrustworthyError
from archon_ops.hosts import process
from archon_ops.postgres.messages import failure
from archon_ops.postgres.tools import Tools

_READ_SECONDS = 300.0
_TEXTS = r"""
    (?P<dollar>\$[A-Za-z_0-9]*\$)(?s:.*?)(?P=dollar)
  | [eE]'(?:[^'\\]|''|\\.)*'
  | --[^\n]*
"""
_HEADER = r"""
    ^--\n--\ TOC\ entry\ (?P<id>\d+)\ [^\n]*\n(?:--\ [^\n]*\n)+--\n
"""
_OWNER = re.compile(r"^-- Name: .*?; Owner: (?P<owner>.*?)(?:; Tablespace: .*)?$", re.M)
_NAME = r'(?:"(?:[^"]|"")+"|[a-z_][\w$]*)'
_SPLIT = re.compile(rf"{_HEADER}|{_TEXTS}|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", re.M | re.X)
_RENAME = re.compile(
    rf"""{_TEXTS}
  | '(?P<literal>public\.(?P<named>(?:[^']|'')+))'(?=::regclass)
  | '(?:[^']|'')*'
  | public\.(?P<name>{_NAME})
  | {_NAME} | [\w$]+""",
    re.X,
)
_LAST = "--\n-- PostgreSQL database dump complete"


@dataclass(frozen=True)
class Definition:
    """What a dump says of one entry.

    Attributes:
        sql: the statements that make it.
        owner: role that owns it; empty where it has none.
    """

    sql: str
    owner: str = ""


def read_definitions(tools: Tools, dump: Path) -> dict[int, Definition]:
    """The definition of every entry of a dump but its data, by the entry's number.

    Raises:
        UntrustworthyError: it cannot be read.
    """
    argv = tools.argv("pg_restore", "--schema-only", "--verbose", "--file=-", str(dump.absolute()))
    done = process.run(argv, timeout=_READ_SECONDS)
    if done.returncode != 0:
        error = failure(done, f"reading the definitions in {dump.name}")
        raise UntrustworthyError(error.message, f"inv verify {dump.name}")
    return split(done.stdout)


def split(script: str) -> dict[int, Definition]:
    """A script of `pg_restore --verbose`, cut at the remark that begins each entry."""
    heads = [match for match in _SPLIT.finditer(script) if match["id"]]
    last = script.rfind(_LAST)
    ends = [*(match.start() for match in heads[1:]), last if last >= 0 else len(script)]
    return {
        int(head["id"]): Definition(script[head.end() : end].strip(), _owner(head[0]))
        for head, end in zip(heads, ends, strict=False)
    }


def _owner(head: str) -> str:
    match = _OWNER.search(head)
    return match["owner"] if match and match["owner"] != "-" else ""


def renamed(text: str, names: frozenset[str], schema: str) -> str:
    """SQL in which these objects of schema public are another schema's.

    Args:
        text: as PostgreSQL's programs print it: names qualified, lower case or quoted.
        names: unquoted names of what moves: relations, indexes, types, routines.
        schema: the other schema.
    """
    prefix = '"' + schema.replace('"', '""') + '"'

    def replaced(match: re.Match[str]) -> str:
        if (name := match["name"]) and _unquoted(name) in names:
            return f"{prefix}.{name}"
        if match["literal"] and _unquoted(match["named"].replace("''", "'")) in names:
            return f"'{prefix}.{match['named']}'"
        return match[0]

    return _RENAME.sub(replaced, text)


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
