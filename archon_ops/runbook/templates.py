"""The notebooks that can be run: where they are, what they say of themselves, and their hash.

They are read as JSON, because Jupyter's own reader takes a second to load.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archon_ops.errors import PreconditionError, UsageError
from archon_ops.settings import Settings
from archon_ops.storage.explain import explained
from archon_ops.storage.files import read_limited

SIZE_LIMIT = 4 << 20
_HASHES = Path(__file__).with_name("templates.json")
_FOLDER = "runbooks"


@dataclass(frozen=True)
class Template:
    """A notebook before it runs.

    Attributes:
        name: its file name without the suffix.
        path: where it lies.
        title: its first heading.
        about: what its metadata say under "archon_ops": kind ("drill" or "analysis"), expected,
            loss, controls.
        parameters: name -> default, as its cell of parameters has them.
        digest: SHA-256 over kind and text of its cells.
        state: "as shipped", "changed" (it bears the name of one of ours and differs), or "own".
    """

    name: str
    path: Path
    title: str
    about: dict[str, Any]
    parameters: dict[str, Any]
    digest: str
    state: str

    def said(self, name: str) -> str:
        """One of the texts that it says of itself; "-" where it does not."""
        return str(self.about.get(name) or "-")


def all_templates(settings: Settings) -> tuple[Template, ...]:
    """Every notebook there is, by name.

    Raises:
        PreconditionError: one cannot be read.
    """
    return tuple(load(path) for path in sorted(folder_of(settings).glob("*.ipynb")))


def find(settings: Settings, name: str) -> Template:
    """The notebook of this name.

    Raises:
        UsageError: there is none.
        PreconditionError: it cannot be read.
    """
    folder = folder_of(settings)
    known = sorted(path.stem for path in folder.glob("*.ipynb"))
    if name not in known:
        raise UsageError(
            f"there is no runbook {name!r} in {folder}", f"one of: {', '.join(known) or 'none'}"
        )
    return load(folder / f"{name}.ipynb")


def folder_of(settings: Settings) -> Path:
    """The root's own runbooks, else those beside the package, else those installed with it."""
    beside = Path(__file__).parents[2] / _FOLDER
    installed = Path(sys.prefix) / "share" / "archon_ops" / _FOLDER
    for folder in (settings.root / _FOLDER, beside, installed):
        if any(folder.glob("*.ipynb")):
            return folder
    return settings.root / _FOLDER


def load(path: Path) -> Template:
    """The notebook in a file.

    Raises:
        PreconditionError: it cannot be read, or is none.
    """
    with explained("read the runbook", path):
        data = read_limited(path, SIZE_LIMIT)
    try:
        notebook = json.loads(data)
        cells = [(cell["cell_type"], _source(cell)) for cell in notebook["cells"]]
        about = dict(notebook["metadata"].get("archon_ops", {}))
        parameters = _parameters(notebook["cells"])
    except (ValueError, KeyError, TypeError, SyntaxError) as error:
        raise PreconditionError(
            f"the runbook {path} cannot be read: {error}", "git checkout it, or open it in inv lab"
        ) from error
    digest = hashlib.sha256(json.dumps(cells).encode()).hexdigest()
    shipped = shipped_digests().get(path.stem)
    state = "own" if shipped is None else "as shipped" if shipped == digest else "changed"
    return Template(path.stem, path, _title(cells, path.stem), about, parameters, digest, state)


def shipped_digests() -> dict[str, str]:
    """Name -> digest of the notebooks as this version has them."""
    digests: dict[str, str] = json.loads(_HASHES.read_text())
    return digests


def _source(cell: dict[str, Any]) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def _title(cells: list[tuple[str, str]], name: str) -> str:
    lines = (line for _, text in cells for line in text.splitlines())
    return next((line.lstrip("# ") for line in lines if line.startswith("# ")), name)


def _parameters(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Names and defaults in the cell that is tagged "parameters"; they are literals."""
    for cell in cells:
        if "parameters" in cell["metadata"].get("tags", []):
            body = ast.parse(_source(cell)).body
            return {
                target.id: ast.literal_eval(statement.value)
                for statement in body
                if isinstance(statement, ast.Assign)
                for target in statement.targets
                if isinstance(target, ast.Name)
            }
    return {}


def accept(folder: Path) -> None:
    """Write down the digests of the notebooks in a folder: they are what this version ships."""
    digests = {path.stem: load(path).digest for path in sorted(folder.glob("*.ipynb"))}
    _HASHES.write_text(json.dumps(digests, indent=2) + "\n")
