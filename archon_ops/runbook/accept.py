"""`python -m archon_ops.runbook.accept`: after a notebook was changed on purpose."""

from pathlib import Path

from archon_ops.runbook import templates

if __name__ == "__main__":
    templates.accept(Path("runbooks"))
