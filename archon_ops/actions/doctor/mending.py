"""What may be put right without asking: nothing is lost by it, and nobody notices."""

from __future__ import annotations

from archon_ops.actions.doctor import directory
from archon_ops.errors import OpsError
from archon_ops.site import Site
from archon_ops.storage.folders import ensure_folder


def mend(site: Site) -> tuple[str, ...]:
    """Make the backup directory, and close it and what is ours in it to others.

    Returns:
        What was done, or could not be, one line each.
    """
    done: list[str] = []
    try:
        done.extend(_make_directory(site))
        done.extend(_close(site))
    except OpsError as error:
        done.append(f"not mended: {error.message}")
    return tuple(done)


def _make_directory(site: Site) -> list[str]:
    path = site.directory.path
    if path.exists():
        return []
    if site.directory.parent_is_ours:
        ensure_folder(path.parent)
    ensure_folder(path)
    return [f"made {path} (0700)"]


def _close(site: Site) -> list[str]:
    """Modes of our own files: 0600, of our folders: 0700."""
    lines = []
    for path, mode in tuple(directory.too_open(site.directory)):
        try:
            directory.close(path)
        except OSError as error:
            lines.append(f"not mended: mode of {path}: {error.strerror}")
        else:
            lines.append(f"closed {path} to others (was {mode:04o})")
    return lines
