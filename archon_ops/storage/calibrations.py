"""The last calibration of a source, in .ops/calibration.json."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING

from archon_ops.model.calibration import Calibration
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.directory import Directory
from archon_ops.storage.files import read_limited
from archon_ops.storage.folders import ensure_folder

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_LIMIT = 1 << 20


def calibration_path(directory: Directory) -> Path:
    """Where it lies."""
    return directory.ops / "calibration.json"


def write(directory: Directory, calibration: Calibration, run_id: str) -> None:
    """Keep a calibration in place of the one before.

    Raises:
        PreconditionError: the directory refuses, or no space is left.
    """
    ensure_folder(directory.ops)
    document = _adapter().dump_python(calibration, mode="json")
    data = (json.dumps(document, indent=2) + "\n").encode()
    write_atomic(calibration_path(directory), data, run_id, overwrite=True)


def read(directory: Directory) -> Calibration | None:
    """The last calibration; None where there is none that can be read."""
    try:
        return _adapter().validate_json(read_limited(calibration_path(directory), _LIMIT))
    except (OSError, ValueError):
        return None


@functools.cache
def _adapter() -> TypeAdapter[Calibration]:
    from pydantic import TypeAdapter  # costs a tenth of a second, so only when used

    return TypeAdapter(Calibration)
