"""A file of SQL, cut into the statements that psql would send, each with its line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from archon_ops.errors import UsageError

_TAG = re.compile(r"\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$")
_WORD = re.compile(r"[A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*")
# Its rows stand in the file as no statement does.
_COPY = re.compile(r"COPY\b.*\b(?:FROM\s+STDIN|TO\s+STDOUT)\b", re.IGNORECASE | re.DOTALL)
# A sandbox runs as the same user of the same machine: these reach out of it, to production's files.
_REACHES_OUT = re.compile(
    r"^COPY\b.*\b(?:FROM|TO)\s+E?'|\bCOPY\b.*\b(?:FROM|TO)\s+PROGRAM\b", re.IGNORECASE | re.DOTALL
)
# In a sandbox the database has another name, and it is not the one that people would lose.
_WHOLE = re.compile(r"(?:CREATE|DROP)\s+DATABASE\b", re.IGNORECASE)
_SPACE = re.compile(r"\s+")
_SHOWN = 60


@dataclass(frozen=True)
class Statement:
    """One statement of a file.

    Attributes:
        file: its file, as it was given.
        number: 1 for the first of its file.
        line: line on which it begins, 1 for the first.
        text: all of it, without the semicolon.
    """

    file: str
    number: int
    line: int
    text: str

    @property
    def head(self) -> str:
        """Its beginning, on one line, for people."""
        text = _SPACE.sub(" ", _without_comments(self.text)).strip()
        return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self.file} line {self.line}"


def statements(file: str, text: str) -> tuple[Statement, ...]:
    """Cut a file of SQL into statements.

    Args:
        file: its name, for messages.
        text: its content.

    Raises:
        UsageError: it holds a command of psql's own, rows for COPY, what reaches out of a sandbox,
            or a quote or comment that never ends.
    """
    found: list[Statement] = []
    start, at, depth, bodies = 0, 0, 0, 0
    while at < len(text):
        ahead = text[at]
        if ahead == ";" and depth == 0 and bodies == 0:
            _take(found, file, text, start, at)
            start = at = at + 1
            continue
        if ahead == "\\":
            line, command = text.count("\n", 0, at) + 1, text[at:].split(maxsplit=1)[0]
            raise UsageError(
                f"{file} line {line}: {command} is a command of psql, not SQL",
                "put the SQL itself into the file",
            )
        if ahead in "()":
            depth = max(0, depth + (1 if ahead == "(" else -1))
        if word := _WORD.match(text, at):
            bodies = _bodies(bodies, word[0].upper(), text, start, word)
        at = _past(file, text, at)
    _take(found, file, text, start, at)
    return tuple(found)


def _bodies(bodies: int, word: str, text: str, start: int, at: re.Match[str]) -> int:
    """How many BEGIN ATOMIC … END (and CASE … END inside) are open behind this word."""
    if word == "ATOMIC" and re.search(r"\bBEGIN\s+$", text[start : at.start()], re.IGNORECASE):
        return bodies + 1
    if bodies and word == "CASE":
        return bodies + 1
    if bodies and word == "END":
        return bodies - 1
    return bodies


def _past(file: str, text: str, at: int) -> int:
    """Where what begins here ends: a quoted text, a comment, a word, or one letter."""
    if text.startswith("--", at):
        return _end(text, "\n", at)
    if text.startswith("/*", at):
        return _past_comment(file, text, at)
    if text[at] == "'":
        escaped = at > 0 and text[at - 1] in "eE" and not _part_of_word(text, at - 1)
        return _past_quote(file, text, at, "'", escaped=escaped)
    if text[at] == '"':
        return _past_quote(file, text, at, '"', escaped=False)
    if tag := _TAG.match(text, at):
        end = text.find(tag[0], tag.end())
        if end < 0:
            raise _endless(file, text, at, tag[0])
        return end + len(tag[0])
    if word := _WORD.match(text, at):
        return word.end()
    return at + 1


def _part_of_word(text: str, at: int) -> bool:
    """Whether the letter at this place ends a longer word."""
    return at > 0 and (text[at - 1].isalnum() or text[at - 1] in "_$")


def _past_quote(file: str, text: str, at: int, quote: str, *, escaped: bool) -> int:
    end = at + 1
    while end < len(text):
        if escaped and text[end] == "\\":
            end += 2
        elif text[end] != quote:
            end += 1
        elif text.startswith(quote, end + 1):
            end += 2
        else:
            return end + 1
    raise _endless(file, text, at, quote)


def _past_comment(file: str, text: str, at: int) -> int:
    """Comments in C's form hold one another."""
    depth, end = 0, at
    while end < len(text):
        if text.startswith("/*", end):
            depth, end = depth + 1, end + 2
        elif text.startswith("*/", end):
            depth, end = depth - 1, end + 2
            if depth == 0:
                return end
        else:
            end += 1
    raise _endless(file, text, at, "/*")


def _end(text: str, what: str, at: int) -> int:
    end = text.find(what, at)
    return len(text) if end < 0 else end


def _endless(file: str, text: str, at: int, what: str) -> UsageError:
    return UsageError(f"{file} line {text.count(chr(10), 0, at) + 1}: {what} never ends")


def _take(found: list[Statement], file: str, text: str, start: int, end: int) -> None:
    """Keep a statement, unless it is nothing but space and comments."""
    body = text[start:end]
    bare = _without_comments(body)
    if not bare.strip():
        return
    first = start + _skip(body)
    line = text.count("\n", 0, first) + 1
    if _COPY.match(bare.strip()):
        raise UsageError(
            f"{file} line {line}: COPY from or to psql's own input and output is not SQL",
            "put the rows into an INSERT",
        )
    _refuse_what_no_sandbox_tells(f"{file} line {line}", bare.strip())
    found.append(Statement(file, len(found) + 1, line, text[first:end].rstrip()))


def _refuse_what_no_sandbox_tells(place: str, bare: str) -> None:
    if _REACHES_OUT.search(bare):
        raise UsageError(
            f"{place}: COPY of a server's file or program reaches out of a sandbox",
            "put the rows into an INSERT",
        )
    if _WHOLE.match(bare):
        raise UsageError(
            f"{place}: it is about whole databases, and no sandbox can tell what it would do",
            "take it out of the file",
        )


def _skip(body: str) -> int:
    """Length of the space and comments that a statement begins with."""
    at = 0
    while at < len(body):
        if body[at].isspace():
            at += 1
        elif body.startswith(("--", "/*"), at):
            at = _past("", body, at)
        else:
            break
    return at


def _without_comments(text: str) -> str:
    """The text, with comments as one space each."""
    parts, at = [], 0
    while at < len(text):
        end = _past("", text, at)
        parts.append(" " if text.startswith(("--", "/*"), at) else text[at:end])
        at = end
    return "".join(parts)
