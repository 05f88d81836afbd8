"""Where a setting came from, for whoever has to correct it; never its value."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

CONFIG = "archon.toml"
ENV_PREFIX = "ARCHON_"
_SAID = {"missing": "is missing", "extra_forbidden": "there is no such setting"}


def explain(error: ValidationError, root: Path) -> tuple[str, str]:
    """Where a value came from and what is wrong with it; never the value, it may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    path = tuple(str(part) for part in first["loc"])
    where = _origin(root, path)
    message = _SAID.get(first["type"], first["msg"].removeprefix("Value error, "))
    return f"{where}: {'.'.join(path)}: {message}", f"correct {where}"


def _origin(root: Path, path: tuple[str, ...]) -> str:
    """The variable, or the file and line, that a setting came from, as near as can be told."""
    variable = ENV_PREFIX + "__".join(path).upper()
    if variable in map(str.upper, os.environ):
        return variable
    for file, key in ((root / ".env", variable), (root / CONFIG, "")):
        if file.is_file() and (found := line_of(file, (key,) if key else path)) != str(file):
            return found
    parent = ENV_PREFIX + "__".join([*path[:-1], ""]).upper()
    near = (name for name in os.environ if len(path) > 1 and name.upper().startswith(parent))
    return next(near, None) or str(root / CONFIG)


def line_of(file: Path, path: tuple[str, ...]) -> str:
    """`file:line` of the setting's key, as near as its last part can be found."""
    if not file.is_file():
        return str(file)
    for key in reversed(path):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if line.split("=")[0].strip() == key or _is_header(line, key):
                return f"{file}:{number}"
    return str(file)


def _is_header(line: str, key: str) -> bool:
    """Whether a line opens the table of this key: [sources.KEY] or [sources."KEY"]."""
    text = line.strip()
    return text.startswith("[") and text.strip('[]"').endswith(key)
