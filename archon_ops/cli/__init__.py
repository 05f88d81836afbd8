"""The commands: one file for each group, each command parses, calls one action, and prints.

To add a file, import it and name it in ROOT or GROUPS below. A file whose commands
stand alone (`inv backup`) is one of ROOT; one whose commands share a prefix (`inv offsite.push`)
is one of GROUPS, where the task marked `default=True` is what the bare prefix means.
Its imports at the top are archon_ops.cli.command and archon_ops.errors; the rest belongs into
the bodies of the tasks, because every `inv --list` pays for it. See command.py for how one
is written.
"""

from __future__ import annotations

from types import ModuleType

from invoke.collection import Collection
from invoke.tasks import Task

from archon_ops.cli import (
    backups,
    bench,
    demo,
    doctor,
    encryption,
    evidence,
    monitor,
    offsite,
    pitr,
    project,
    prune,
    psql,
    recover,
    rehearse,
    rescue,
    restores,
    runbooks,
    schedule,
    services,
    sizes,
    verify,
)

ROOT: tuple[ModuleType, ...] = (
    demo,
    backups,
    verify,
    prune,
    restores,
    rescue,
    rehearse,
    runbooks,
    recover,
    services,
    encryption,
    psql,
    monitor,
    doctor,
    sizes,
    bench,
    project,
)
GROUPS: dict[str, ModuleType] = {
    "evidence": evidence,
    "offsite": offsite,
    "pitr": pitr,
    "schedule": schedule,
}


def collect(root: tuple[ModuleType, ...], groups: dict[str, ModuleType]) -> Collection:
    """The collection of all tasks that these modules define."""
    collection = Collection()
    for module in root:
        for task in vars(module).values():
            if isinstance(task, Task):
                collection.add_task(task)
    for name, module in groups.items():
        collection.add_collection(Collection.from_module(module, name=name))
    return collection


namespace = collect(ROOT, GROUPS)
