"""Runbooks that run: what their notebooks call, and what executes them and keeps the evidence.

A notebook needs two names of this package; README.md shows how one is made.
"""

from archon_ops.runbook.hand import begin
from archon_ops.runbook.look import look
from archon_ops.runbook.session import Session

__all__ = ["Session", "begin", "look"]
