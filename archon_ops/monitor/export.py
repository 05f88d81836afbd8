"""Files that other monitoring wants of us: alert rules, dashboard, compose and proxy snippets."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from archon_ops.errors import PreconditionError
from archon_ops.storage.explain import explained


def export(folder: Path) -> tuple[Path, ...]:
    """Write all of them into a folder, which is made where it is missing.

    They hold no secrets and are read by others, so the modes are the umask's. One that is there
    already and says the same stays.

    Args:
        folder: where to.

    Raises:
        PreconditionError: the folder refuses, or holds another file of one of their names.
    """
    with explained("make the folder", folder):
        folder.mkdir(parents=True, exist_ok=True)
    content = {folder / name: data for name, data in _files().items()}
    for path, data in content.items():
        with explained("read", path):
            if path.exists() and path.read_bytes() != data:
                raise PreconditionError(
                    f"{path} is there and is another one; nothing was written",
                    "move it away, or name another folder",
                )
    for path, data in content.items():
        with explained("write", path):
            path.write_bytes(data)
    return tuple(content)


def _files() -> dict[str, bytes]:
    place = resources.files("archon_ops.monitor") / "files"
    return {item.name: item.read_bytes() for item in sorted(place.iterdir(), key=lambda i: i.name)}
