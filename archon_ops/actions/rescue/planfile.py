"""The file that a plan is written to: read before it is carried out, by people and by us."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from archon_ops.errors import PreconditionError, UsageError
from archon_ops.model.rescue import FORMAT, RescuePlan
from archon_ops.site import Site
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.explain import explained
from archon_ops.storage.files import read_limited
from archon_ops.storage.folders import ensure_folder

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_LIMIT = 1 << 30
_KEPT = 50
_VALUE = re.compile(r"\s*\[type=.*")


def write_plan(site: Site, plan: RescuePlan) -> RescuePlan:
    """Write a plan below the state folder, 0600; the plan, which knows where it lies.

    The file holds keys and digests of rows, and of their content nothing else.
    """
    folder = site.settings.state / "plans"
    for place in (site.settings.state, folder):
        ensure_folder(place)
    path = folder / f"rescue-{site.run_id}.json"
    written = replace(plan, file=str(path))
    document = _adapter().dump_python(written, mode="json")
    data = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
    write_atomic(path, data, site.run_id)
    for old in sorted(folder.glob("rescue-*.json"))[:-_KEPT]:  # names sort by time
        with explained("remove", old):
            old.unlink(missing_ok=True)
    return written


def read_plan(site: Site, path: Path) -> RescuePlan:
    """Read a plan that was written for this source.

    Raises:
        UsageError: it is no plan.
        PreconditionError: it cannot be read, or is another source's.
    """
    try:
        plan = _adapter().validate_json(read_limited(path, _LIMIT), strict=True)
    except OSError as error:
        raise PreconditionError(
            f"cannot read the plan {path}: {error.strerror}", "inv rescue … --dry-run writes one"
        ) from error
    except ValueError as error:
        raise UsageError(
            f"{path} is not a plan of a rescue: {_reason(error)}",
            "inv rescue … --dry-run writes one",
        ) from error
    if plan.format != FORMAT:
        raise UsageError(f"{path} has format {plan.format}, known is {FORMAT}")
    for table in plan.tables:
        keys = {row.key for row in table.rows if len(row.key) == len(table.key)}
        if len(keys) < len(table.rows):
            raise UsageError(
                f"{path}: {table.name} has rows whose key is incomplete or named twice",
                "rows may be left out of a plan, and nothing else may be changed in it",
            )
    if plan.source != site.name:
        raise PreconditionError(
            f"the plan is for source {plan.source}, not for {site.name}",
            f"inv rescue --plan … --source {plan.source}",
        )
    return plan


def _reason(error: ValueError) -> str:
    """The first thing that is wrong, without what the file holds: it may be any file."""
    lines = str(error).splitlines()
    return " ".join(_VALUE.sub("", ": ".join(map(str.strip, lines[1:3] or lines))).split())


@functools.cache
def _adapter() -> TypeAdapter[RescuePlan]:
    from pydantic import TypeAdapter  # costs a tenth of a second, so only when used

    return TypeAdapter(RescuePlan)
