"""The key without which a restored database has lost every credential."""

from __future__ import annotations

from dataclasses import dataclass

from archon_ops.actions.credentials import opener
from archon_ops.model.diagnosis import Check, Finding
from archon_ops.settings import archon_secret
from archon_ops.site import Site

_FIRST_CHOICE = "ENCRYPTION_KEY"


@dataclass(frozen=True)
class KeyFacts:
    """What is known of the key, never the key itself.

    Attributes:
        file: where it is looked for.
        variable: that holds it; None where none does.
        unchanged: whether it is the one of the last backup; None where that is not known.
        backup: name of that backup; None where none tells.
        encrypted: how many encrypted credentials were read; None where they could not be.
        opened: how many of those it decrypts.
    """

    file: str
    variable: str | None
    unchanged: bool | None
    backup: str | None
    encrypted: int | None
    opened: int


def gather(site: Site, encrypted: tuple[str, ...] | None) -> KeyFacts:
    """Look at the key, the last backup's fingerprint of it, and what it decrypts."""
    home = site.settings.home(site.name)
    secret = archon_secret(home)
    last = next(
        (b.manifest for b in site.directory.catalog().ordinary if b.manifest and b.manifest.key),
        None,
    )
    count = None if encrypted is None else len(encrypted)
    opened = 0
    if secret and encrypted:
        opened = sum(map(opener(secret[1].get_secret_value()), encrypted))
    return KeyFacts(
        file=str(home / ".env"),
        variable=secret[0] if secret else None,
        unchanged=(
            last.key.matches(secret[1].get_secret_value()) if secret and last and last.key else None
        ),
        backup=last.name if last else None,
        encrypted=count,
        opened=opened,
    )


def judge(facts: KeyFacts, inv: str) -> tuple[Finding, ...]:
    """Present, unchanged, and the right one."""
    return (_present(facts), _same(facts, inv), _fits(facts))


def _present(facts: KeyFacts) -> Finding:
    check = Check(
        "key.present", "every API key in a restored database is lost", f"names in {facts.file}"
    )
    if facts.variable == _FIRST_CHOICE:
        return check.ok(f"{_FIRST_CHOICE} is set")
    if facts.variable:
        return check.note(
            f"Archon encrypts with {facts.variable}: {_FIRST_CHOICE} is not set",
            "whoever rotates the service key makes every stored credential unreadable",
            f"set {_FIRST_CHOICE} in {facts.file} before storing credentials anew",
        )
    cause = f"neither {_FIRST_CHOICE} nor SUPABASE_SERVICE_KEY is in {facts.file}"
    mend = f"copy it from the password manager into {facts.file}, or set archon_home"
    if facts.encrypted:
        return check.problem(f"{facts.encrypted} credentials and no key at hand", cause, mend)
    return check.warning("no key at hand", cause, mend)


def _same(facts: KeyFacts, inv: str) -> Finding:
    check = Check(
        "key.unchanged",
        "credentials of an older backup cannot be decrypted",
        "salted fingerprint in the manifest of the last backup",
    )
    if facts.unchanged is None:
        why = "no backup holds a fingerprint" if facts.variable else "there is no key to compare"
        cause = "the key was not at hand when the last backup was taken, or there is none"
        return check.unknown(why, cause, f"inv backup{inv}")
    if facts.unchanged:
        return check.ok(f"the key is that of {facts.backup}")
    return check.warning(
        f"the key is another one than in {facts.backup}",
        "it was rotated, or Archon was set up anew",
        f"keep the former key in the password manager as long as its backups; inv backup{inv}",
    )


def _fits(facts: KeyFacts) -> Finding:
    check = Check(
        "key.decrypts",
        "API keys show as empty or invalid in Archon",
        "archon_settings.encrypted_value",
    )
    if facts.encrypted is None:
        return check.unknown("no credential could be read", "the database cannot be asked")
    if facts.encrypted == 0:
        return check.ok("there is no encrypted credential")
    if facts.variable is None:
        return check.unknown(
            f"{facts.encrypted} encrypted credentials, and no key to try",
            f"no key in {facts.file}",
            f"copy it from the password manager into {facts.file}",
        )
    if facts.opened == facts.encrypted:
        return check.ok(
            f"{facts.variable} decrypts {facts.opened} of {facts.encrypted} credentials"
        )
    return check.problem(
        f"{facts.variable} decrypts {facts.opened} of {facts.encrypted} credentials",
        "they were stored under another key",
        f"set the former {facts.variable} in {facts.file}, or enter the credentials in Archon anew",
    )
