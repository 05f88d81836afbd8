"""Bring single rows back: deleted or changed ones, with what they need, and nothing else.

`plan` compares the needed part of a backup, in a sandbox, with the live tables; `apply` writes
the rows of a plan in one transaction that proves itself before it is committed.
"""

from archon_ops.actions.rescue.differences import Diff, TableDiff, differences
from archon_ops.actions.rescue.planfile import read_plan
from archon_ops.actions.rescue.planning import Request
from archon_ops.actions.rescue.rescue import Rescued, apply, plan, rescue

__all__ = [
    "Diff",
    "Request",
    "Rescued",
    "TableDiff",
    "apply",
    "differences",
    "plan",
    "read_plan",
    "rescue",
]
