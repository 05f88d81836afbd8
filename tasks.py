"""The front door of `inv`: every command lives in archon_ops/cli."""

from archon_ops.cli import namespace

__all__ = ["namespace"]
