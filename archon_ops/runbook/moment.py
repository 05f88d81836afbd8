"""The cluster as it was at a moment, as the backup that a runbook recovers from."""

from __future__ import annotations

from archon_ops.actions.pitr.restore import Request, restore
from archon_ops.model.units import human_duration, zulu
from archon_ops.runbook import steps
from archon_ops.runbook.session import Session
from archon_ops.storage.reference import Located, resolve


def as_of(run: Session, moment: str) -> tuple[Located, str]:
    """A backup of the cluster as it was; taken in a sandbox, while production is only read.

    With it comes what a person should be told of where it is from.

    Its time counts as recovery time: without it there would be nothing to recover from.

    Args:
        run: the session.
        moment: a time, "5 minutes ago", or "latest".

    Raises:
        OpsError: the source archives no WAL, or the moment cannot be restored; says what can.
    """
    with run.step(*steps.MOMENT, recovery=True):
        brought = restore(run.site.for_next_run(), Request(time=moment))
    run.fact(
        "moment",
        {
            "asked": moment,
            "as_of": zulu(brought.moment),
            "begun_with": brought.aim.label.name,
            "backup": brought.backup,
            "seconds": {name: round(value, 3) for name, value in brought.seconds.items()},
        },
    )
    for note in brought.proof.not_proven:
        run.not_covered(f"of the recovered cluster: {note}")
    told = (
        f"Asked for: {moment}. Brought back in a sandbox as of {brought.moment:%Y-%m-%d %H:%M:%S} "
        f"UTC, from pgBackRest's {brought.aim.label.kind} backup {brought.aim.label.name} and the "
        f"WAL since, in {human_duration(brought.seconds['total'])}."
    )
    return resolve(run.site.directory, brought.backup), told
