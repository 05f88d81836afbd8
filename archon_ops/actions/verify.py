"""Is a backup what it was? By checksum and a full read; or by restoring it and comparing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from archon_ops.actions.examining import examine
from archon_ops.actions.recording import recorded
from archon_ops.actions.trial import restored_proof
from archon_ops.errors import ExitCode, PreconditionError, UntrustworthyError
from archon_ops.model.backup import Verification
from archon_ops.model.proof import Proof
from archon_ops.site import Site
from archon_ops.storage.reference import Located, resolve
from archon_ops.storage.verifications import append_verification


@dataclass(frozen=True)
class Verified:
    """What a verification found.

    Attributes:
        name: the dump.
        path: where it lies.
        method: "checksum" or "restore".
        passed: whether everything that was looked at holds.
        problems: what does not, one line each.
        not_proven: what could not be looked at, one line each.
        seconds: duration.
        proof: of the restored content, where it was restored.
    """

    name: str
    path: Path
    method: str
    passed: bool
    problems: tuple[str, ...]
    not_proven: tuple[str, ...]
    seconds: float
    proof: Proof | None = None

    @property
    def exit_code(self) -> ExitCode:
        """How a command that verified this one ends."""
        if not self.passed:
            return ExitCode.UNTRUSTWORTHY
        return ExitCode.INCONCLUSIVE if self.not_proven else ExitCode.DONE


def verify(site: Site, reference: str, *, restore: bool = False) -> tuple[Verified, ...]:
    """Verify one backup, or "all".

    Args:
        site: where.
        reference: latest, a name, a path, or all.
        restore: whether to restore into a sandbox and compare, besides reading it.

    Raises:
        OpsError: it could not be tried; what was found wrong is an answer, not an error.
    """
    chosen = _chosen(site, reference)
    with recorded(site, "verify") as run:
        results = tuple(_one(run.site, located, restore) for located in chosen)
        run.exit_code = worst(results)
        run.details["verified"] = {r.name: "passed" if r.passed else "failed" for r in results}
        return results


def worst(results: Iterable[Verified]) -> ExitCode:
    """How a command ends that verified all of these."""
    codes = {result.exit_code for result in results}
    for code in (ExitCode.UNTRUSTWORTHY, ExitCode.INCONCLUSIVE):
        if code in codes:
            return code
    return ExitCode.DONE


def refusal(site: Site, results: Iterable[Verified]) -> UntrustworthyError | None:
    """What to say when backups did not hold, with the one to turn to; None when all did."""
    failed = [result for result in results if not result.passed]
    if not failed:
        return None
    first = failed[0]
    others = f" (and {len(failed) - 1} more backups)" if len(failed) > 1 else ""
    sound = next((b for b in site.directory.catalog().ordinary if b.trustworthy), None)
    hint = (
        f"newest trustworthy: inv restore {sound.name}; a new one: inv backup"
        if sound
        else "no other backup can be trusted: take a new one with inv backup"
    )
    why = "; ".join(first.problems[:3])
    return UntrustworthyError(f"{first.name} cannot be trusted: {why}{others}", hint)


def _chosen(site: Site, reference: str) -> tuple[Located, ...]:
    if reference != "all":
        return (resolve(site.directory, reference),)
    directory = site.directory
    backups = directory.catalog().newest_first
    if not backups:
        raise PreconditionError(f"no backups in {directory.path}", "inv backup")
    return tuple(Located(directory.path_of(b).absolute(), b, inside=True) for b in backups)


def _one(site: Site, located: Located, restore: bool) -> Verified:
    site.report.phase("verify.read", f"Verifying {located.backup.name}")
    began = site.clock()
    result = _examined(site, located, restore)
    seconds = (site.clock() - began).total_seconds()
    manifest = located.backup.manifest
    if manifest is not None and located.inside:  # our lock covers no other folder
        look = Verification(
            at=site.clock(),
            method=result.method,
            passed=result.passed,
            problems=result.problems,
            sha256=manifest.sha256,
            seconds=seconds,
            not_proven=result.not_proven,
        )
        append_verification(located.path, look, site.run_id)
    return Verified(
        result.name,
        result.path,
        result.method,
        result.passed,
        result.problems,
        result.not_proven,
        seconds,
        result.proof,
    )


def _examined(site: Site, located: Located, restore: bool) -> Verified:
    method = "restore" if restore else "checksum"
    proof: Proof | None = None
    try:
        notes = examine(site, located)
        if restore:
            proof = restored_proof(site, located)
            notes = (*notes, *proof.not_proven)
    except UntrustworthyError as error:
        return Verified(
            located.backup.name,
            located.path,
            method,
            passed=False,
            problems=(error.message.removeprefix(f"{located.backup.name}: "),),
            not_proven=(),
            seconds=0.0,
        )
    problems = proof.problems if proof else ()
    return Verified(
        located.backup.name,
        located.path,
        method,
        passed=not problems,
        problems=problems,
        not_proven=notes,
        seconds=0.0,
        proof=proof,
    )
