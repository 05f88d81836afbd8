"""Keeping secrets out of what is handed to others: known values, and whatever looks like one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

MASK = "***"
_SECRET_NAME = re.compile(r"KEY|SECRET|PASS|PWD|TOKEN|DSN|JWT|SALT|WEBHOOK", re.IGNORECASE)
# These may as well name a file, whose path is no secret.
_PERHAPS_SECRET_NAME = re.compile(r"CREDENTIAL|AUTH|PRIVATE|CERT|COOKIE", re.IGNORECASE)
# Names under which no document of ours has anything but a secret.
_SECRET_FIELD = re.compile(
    r"(?i)(?:.*_)?(?:password|passwd|pwd|secret|token|dsn|credentials?|(?:api|access|private|"
    r"service|encryption|secret)_?key)"
)
_HARMLESS_NAME = re.compile(
    r"PATH|HOME|PWD|OLDPWD|LANG|LANGUAGE|TZ|HOSTNAME|PGDATA|PG_MAJOR|LC_.*|.*_VERSION|"
    r".*AUTH_METHOD",
    re.IGNORECASE,
)
# Passwords that are no secret, and words that would tear holes into every sentence.
_PUBLIC = frozenset(("postgres", "trust", "md5", "scram-sha-256", "true", "false", "archon"))
_SHORTEST = 4
# A value this short is replaced only where it stands alone: it may be part of any word.
_WORD_LENGTH = 12
_GUESSED_LENGTH = 8

_USERINFO = re.compile(r"(\b[a-zA-Z][\w+.-]*://)([^\s/?#\"']*)@")
_PATTERNS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {MASK}"),
    (
        re.compile(
            r"(?i)(\b\w*(?:password|passwd|pwd|secret|token|api_?key|access_?key|private_?key|"
            r"service_?key|encryption_?key)\w*[\"']?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;]+)"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"), MASK),
    (re.compile(r"\b(?:sk|pk|rk|ghp|gho|ghs|glpat|xox[abps])[-_][\w-]{8,}"), MASK),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}"), MASK),
    (re.compile(r"\b(?:gAAAA|Z0FBQUF)[\w=-]{16,}"), MASK),
)


def named_secret(name: str) -> bool:
    """Whether something of this name is to be taken for a secret."""
    return _SECRET_NAME.search(name) is not None


def secrets_of(variables: Mapping[str, str], *, guess: bool) -> Iterator[str]:
    """Values of variables that nobody else may see.

    Args:
        variables: name -> value, of an environment or an .env file.
        guess: whether values count that look secret under names that do not say so.
    """
    for name, value in variables.items():
        yield from _passwords(value)
        if _HARMLESS_NAME.fullmatch(name):
            continue
        named = _SECRET_NAME.search(name) or (
            _PERHAPS_SECRET_NAME.search(name) and not value.startswith("/")
        )
        if named or (guess and _looks_secret(value)):
            yield value
            yield from (line for line in value.splitlines() if len(line) > _WORD_LENGTH)


class Mask:
    """Takes secrets out of documents.

    Args:
        secrets: values that are known.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {form for secret in secrets for form in _forms(secret)}
        # The longest first: a part of it may be a secret of its own.
        parts = [_literal(secret) for secret in sorted(known, key=lambda s: (-len(s), s))]
        self._known = re.compile("|".join(parts)) if parts else None

    def text(self, text: str) -> str:
        """A text without them."""
        if self._known:
            text = self._known.sub(MASK, text)
        text = _USERINFO.sub(_without_password, text)
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        return text

    def document(self, value: Any) -> Any:
        """A document of dict, list, str, numbers and None without them, its keys included."""
        if isinstance(value, Mapping):
            return {self.text(str(k)): self._field(str(k), v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.document(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def _field(self, name: str, value: Any) -> Any:
        if (
            _SECRET_FIELD.fullmatch(name)
            and value not in (None, "")
            and not isinstance(value, bool)
        ):
            return MASK
        return self.document(value)


def _passwords(value: str) -> Iterator[str]:
    """Passwords inside of URLs, as written and as meant."""
    for match in _USERINFO.finditer(value):
        password = match[2].partition(":")[2]
        yield password
        yield unquote(password)


def _without_password(match: re.Match[str]) -> str:
    user, colon, _ = match[2].partition(":")
    return f"{match[1]}{user}{colon}{MASK if colon else ''}@"


def _looks_secret(value: str) -> bool:
    """Letters and digits mixed, no path, no address."""
    if len(value) < _GUESSED_LENGTH or "://" in value or value.startswith(("/", "./", "../", "~")):
        return False
    return any(map(str.isalpha, value)) and any(map(str.isdigit, value))


def _forms(secret: str) -> Iterator[str]:
    """How a secret may be written."""
    for form in (secret, " ".join(secret.split()), quote(secret, safe="")):
        if len(form) >= _SHORTEST and form.lower() not in _PUBLIC:
            yield form


def _literal(secret: str) -> str:
    text = re.escape(secret)
    return text if len(secret) >= _WORD_LENGTH else rf"(?<!\w){text}(?!\w)"
