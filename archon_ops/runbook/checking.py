"""Is the evidence what it was? Every file, every signature, and the whole chain; no database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from archon_ops.errors import ExitCode
from archon_ops.runbook.seal import (
    SIGNATURE,
    SUMS,
    Head,
    Link,
    digest_of,
    link_of,
    runs,
)
from archon_ops.storage.keys import PublicKey


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was: in which run, in which file ("" for the run itself)."""

    run: str
    file: str
    problem: str


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        runs: how many runs were looked at.
        findings: what is not as it was.
        not_checked: what could not be looked at, one line each.
        head: the end of the chain that was found.
    """

    runs: int
    findings: tuple[Finding, ...]
    not_checked: tuple[str, ...]
    head: Head | None

    @property
    def exit_code(self) -> ExitCode:
        """How a command that checked this ends."""
        if self.findings:
            return ExitCode.FAILED
        return ExitCode.INCONCLUSIVE if self.not_checked else ExitCode.DONE


def check(
    reports: Path,
    keys: tuple[PublicKey, ...],
    head: Head | None,
    *,
    others: tuple[PublicKey, ...] = (),
    whole: bool = True,
) -> Checked:
    """Check all runs in a folder.

    Args:
        reports: the folder.
        keys: public keys that sign here, from outside of the folder.
        head: where the chain ended, as kept elsewhere; None where nobody knows.
        others: public keys that are known here: an earlier one of ours, or another
            installation's. They count only up to the first run that one of `keys` has signed.
        whole: whether the chain has to begin with its first run: an export's need not.
    """
    folders = runs(reports)
    findings = [f for folder in folders for f in _run(folder, (*keys, *others))]
    links = sorted(
        ((link, folder) for folder in folders if (link := link_of(folder))),
        key=lambda pair: pair[0].number,
    )
    findings.extend(_chain(links, whole=whole))
    signers = [(folder.name, _signer(folder, others)) for _, folder in links]
    findings.extend(_by_others(signers))
    last = Head(links[-1][0].number, links[-1][1].name, digest_of(links[-1][1])) if links else None
    not_checked = []
    if head is None:
        not_checked.append("tail not checked: the chain's head is not known here")
    else:
        findings.extend(_tail(links, head))
    if not keys and not others and folders:
        not_checked.append("signatures not checked: no public key is known here")
    if signers and (key := signers[-1][1]):
        not_checked.append(f"newest run: signed by key {key}, which does not sign here")
    return Checked(len(folders), tuple(findings), tuple(not_checked), last)


def _run(folder: Path, keys: tuple[PublicKey, ...]) -> Iterator[Finding]:
    """What is wrong within one run."""
    sums = folder / SUMS
    if not sums.is_file():
        yield Finding(folder.name, SUMS, "is missing: the run is not sealed")
        return
    data = sums.read_bytes()
    yield from (Finding(folder.name, *one) for one in _files(folder, _parsed(data)))
    link = link_of(folder)
    if link is None:
        yield Finding(folder.name, "chain.json", "is missing or cannot be read")
    elif link.run != folder.name:
        yield Finding(folder.name, "", f"is not its name: it was sealed as {link.run}")
    if keys and (problem := _signature(folder, data, keys)):
        yield Finding(folder.name, SIGNATURE, problem)


def _parsed(data: bytes) -> dict[str, str]:
    lines = (line.partition("  ") for line in data.decode(errors="replace").splitlines())
    return {name: digest for digest, _, name in lines}


def _files(folder: Path, sums: dict[str, str]) -> Iterator[tuple[str, str]]:
    there = {path.name for path in folder.iterdir()} - {SUMS, SIGNATURE}
    for name, digest in sums.items():
        if name not in there:
            yield name, "is missing"
        elif _sha256(folder / name) != digest:
            yield name, "was changed after it was sealed"
    for name in sorted(there - sums.keys()):
        yield name, "was added after the run was sealed"


def _sha256(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _signature(folder: Path, data: bytes, keys: Iterable[PublicKey]) -> str:
    path = folder / SIGNATURE
    if not path.is_file():
        return "is missing: anybody could have written these digests"
    signature = path.read_bytes()
    if any(key.signed(data, signature) for key in keys):
        return ""
    return "is not by a key that is known here: SHA256SUMS was rewritten, or signed elsewhere"


def _signer(folder: Path, others: Iterable[PublicKey]) -> str:
    """Fingerprint of that one of these keys which signed a run; empty where none did."""
    sums, path = folder / SUMS, folder / SIGNATURE
    if not sums.is_file() or not path.is_file():
        return ""
    data, signature = sums.read_bytes(), path.read_bytes()
    return next((key.fingerprint for key in others if key.signed(data, signature)), "")


def _by_others(signers: list[tuple[str, str]]) -> Iterator[Finding]:
    """Runs that another key signed after ours did: a key is replaced once, and not taken back.

    Those before are vouched for by the first of ours, which is chained to them.
    """
    ours = False
    for run, other in signers:
        if other and ours:
            yield Finding(run, SIGNATURE, f"is by key {other}, which does not sign here any more")
        ours = ours or not other


def _chain(links: list[tuple[Link, Path]], *, whole: bool) -> Iterator[Finding]:
    """Runs that are missing, doubled, or in another order than they were sealed in."""
    before: tuple[int, str, str] | None = (0, "", "") if whole else None
    for link, folder in links:
        digest = digest_of(folder)
        if before is not None:
            yield from _link(link, folder.name, *before)
        before = (link.number, folder.name, digest)


def _link(link: Link, run: str, number: int, name: str, digest: str) -> Iterator[Finding]:
    previous = link.previous
    if link.number == number:
        yield Finding(run, "chain.json", f"has the number {number}, as {name} has")
    elif link.number > number + 1:
        gone = previous.run if previous else "?"
        count = link.number - number - 1
        yield Finding(gone, "", f"is missing ({count} run(s) before {run})")
    elif previous is not None and previous.sha256 != digest:
        yield Finding(name, SUMS, f"is not what {run} was chained to")


def _tail(links: list[tuple[Link, Path]], head: Head) -> Iterator[Finding]:
    by_number = {link.number: folder for link, folder in links}
    if head.number not in by_number:
        name = head.run or f"run number {head.number}"
        yield Finding(name, "", "is missing: the chain's end was cut off")
    elif digest_of(by_number[head.number]) != head.sha256:
        yield Finding(by_number[head.number].name, SUMS, "is not what the chain's head says")
