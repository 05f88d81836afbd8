"""Read every file of the repositories again: is it what was written, and is nothing missing?"""

from __future__ import annotations

from dataclasses import dataclass, replace

from archon_ops.actions.pitr import watch
from archon_ops.actions.pitr.proof import manifest_digest
from archon_ops.actions.pitr.reach import Reached, reached, segment_bytes
from archon_ops.actions.recording import recorded
from archon_ops.errors import ExitCode, OpsError, UntrustworthyError
from archon_ops.model.pitr.failures import not_there
from archon_ops.model.pitr.stock import Stock
from archon_ops.model.pitr.verified import parse_verify
from archon_ops.site import Site
from archon_ops.storage import pitr as kept

ACTION = "pitr-verify"


@dataclass(frozen=True)
class Outcome:
    """What was found.

    Attributes:
        problems: by repository, one line each.
        backups: label -> whether it is valid.
        files: how many were read.
    """

    problems: tuple[str, ...]
    backups: dict[str, bool]
    files: int

    @property
    def exit_code(self) -> ExitCode:
        """UNTRUSTWORTHY where anything is not as it was."""
        return ExitCode.UNTRUSTWORTHY if self.problems else ExitCode.DONE


def verify(site: Site) -> Outcome:
    """Verify all repositories, and hold pgBackRest's manifests against our proofs.

    Raises:
        OpsError: a repository cannot be read at all.
    """
    with recorded(site, ACTION) as run, reached(run.site) as at:
        site = run.site
        site.report.phase("pitr.verify", "Reading the Repositories")
        stock = at.backrest.info()
        if not stock.exists:
            raise not_there(stock)
        problems: list[str] = []
        backups: dict[str, bool] = {}
        files = 0
        for repository in at.config.repositories:
            text = at.backrest.run(
                "verify",
                f"--repo={repository.number}",
                "--output=text",
                "--verbose",
                "--log-level-console=detail",
                timeout=site.settings.deadlines.restore,
            )
            found = parse_verify(text, segment_bytes(site, at))
            problems += [f"repository {repository.number}: {line}" for line in found.problems]
            backups |= found.backups
            files += found.files
        problems += _manifests(site, at, stock)
        state = watch.look(site, at)
        kept.remember(site.directory, replace(state, damaged=tuple(problems)), site.run_id)
        outcome = Outcome(tuple(problems), backups, files)
        run.details |= {"verified": {name: _word(valid) for name, valid in backups.items()}}
        run.exit_code = outcome.exit_code
        if problems:
            run.reason = problems[0]
        return outcome


def _manifests(site: Site, at: Reached, stock: Stock) -> list[str]:
    """Labels whose manifest is not the one that was proven, or whose proof is not believable."""
    problems = []
    for label in stock.labels:
        try:
            proof = kept.read_proof(site.directory, label.name)
            if proof and manifest_digest(at, label) != proof.sha256:
                problems.append(f"backup {label.name}: its manifest is not the one that was proven")
        except UntrustworthyError as error:
            problems.append(f"backup {label.name}: {error.message}")
        except OpsError as error:
            problems.append(f"backup {label.name}: its manifest cannot be read: {error.message}")
    return problems


def _word(valid: bool) -> str:
    return "valid" if valid else "INVALID"
