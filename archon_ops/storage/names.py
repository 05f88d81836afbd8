"""Which names lie in a backup directory, and which of them belong together."""

from __future__ import annotations

from pathlib import Path

from archon_ops.model.documents import SAFETY_FOLDER
from archon_ops.model.dump_names import DUMP_SUFFIX, is_dump_name
from archon_ops.storage.atomic import TEMP_PREFIX

SAFETY = SAFETY_FOLDER
OPS = ".ops"
MANIFEST_SUFFIX = ".json"
VERIFY_SUFFIX = ".verify.json"


def manifest_path(dump: Path) -> Path:
    """NAME.json beside NAME.dump."""
    return dump.with_name(_stem(dump.name) + MANIFEST_SUFFIX)


def verify_path(dump: Path) -> Path:
    """NAME.verify.json beside NAME.dump."""
    return dump.with_name(_stem(dump.name) + VERIFY_SUFFIX)


def dump_of(sidecar: str) -> str | None:
    """The dump to which a manifest or a verification result of ours belongs, by its name."""
    for suffix in (VERIFY_SUFFIX, MANIFEST_SUFFIX):
        if sidecar.endswith(suffix):
            dump = sidecar.removesuffix(suffix) + DUMP_SUFFIX
            return dump if is_dump_name(dump) else None
    return None


def is_dump_file(name: str) -> bool:
    """Whether a name is listed as a dump: ours, or anybody's; hidden ones are work in progress."""
    return name.endswith(DUMP_SUFFIX) and not name.startswith(".")


def is_temporary(name: str) -> bool:
    """Whether a name is one that we write under before the final one."""
    return name.startswith(TEMP_PREFIX)


def printable(name: str) -> bool:
    """Whether a name can be shown as it is: no control characters, no undecodable bytes."""
    return name.isprintable()


def shown(name: str) -> str:
    """A name made safe to show: anything odd in it is escaped."""
    return name if printable(name) else ascii(name)


def _stem(name: str) -> str:
    return name.removesuffix(DUMP_SUFFIX)
