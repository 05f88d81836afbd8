"""Copies of backups at other places."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from archon_ops.cli import keys
from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode

if TYPE_CHECKING:
    from archon_ops.actions.offsite.places import Destination
    from archon_ops.site import Site
    from archon_ops.storage.cipher import Keys

_FROM = (
    "name from the settings, or URL: a folder, s3://, gs://, az://bucket/prefix, rclone:remote:path"
)


@command(
    help={
        "backup": "latest (the default), a name, or all that are sound",
        "to": _FROM,
        "replace_damaged": "read the copies there; what is damaged is deleted and pushed anew",
        "recipient": "encrypt for this age1… or ssh-… key, or gpg key",
        "backup_dir": "another directory than the source's",
    },
)
def push(
    run: Run,
    backup: str = "latest",
    to: tuple[str, ...] = (),
    recipient: tuple[str, ...] = (),
    backup_dir: str | None = None,
    replace_damaged: bool = False,
    yes: bool = False,
) -> None:
    """Copy backups to places offsite, encrypted where that is set, and check what arrived."""
    from archon_ops.actions.offsite.places import destinations
    from archon_ops.actions.offsite.push import push as action
    from archon_ops.cli.shared import site_of

    site = site_of(run, backup_dir)
    places = destinations(site, to, recipient)
    if replace_damaged:
        where = ", ".join(place.shown for place in places)
        plan = "Read the copies in full; delete there what is damaged, and push it anew"
        run.console.confirm(site.name, f"{plan}\nBackup  {backup}\nPlace   {where}")
    arrived = action(site, backup, places, replace=replace_damaged)
    if run.options.json:
        run.console.json(
            {
                "source": site.name,
                "places": [
                    {
                        "name": a.destination.name or None,
                        "to": a.destination.shown,
                        "sent": [copy.name for copy in a.sent],
                        "there": [copy.name for copy in a.there],
                        "replaced": a.replaced,
                        "bytes": sum(copy.stored_bytes for copy in a.sent),
                    }
                    for a in arrived
                ],
            }
        )


@command(name="list", help={"from_": _FROM})
def list_(run: Run, from_: tuple[str, ...] = ()) -> None:
    """List the copies at places offsite; nothing is needed here but the URL."""
    from archon_ops.actions.offsite.look import listed, trouble
    from archon_ops.actions.offsite.places import destinations
    from archon_ops.cli.shared import site_of
    from archon_ops.model.units import human_size, zulu

    site = site_of(run)
    shelves = listed(site, destinations(site, from_))
    away = trouble(shelves)
    if away and (run.options.json or not any(shelf.held for shelf in shelves)):
        raise away
    held = [(shelf, copy) for shelf in shelves for copy in shelf.held]
    if run.options.json:
        run.console.json(
            {
                "source": site.name,
                "copies": [
                    {"from": s.destination.shown, "filename": h.name, "sound": h.sound}
                    | {"problems": h.problems, "signed": h.signed, "copy": h.copy}
                    for s, h in held
                ],
            }
        )
        return
    for shelf in shelves:
        if shelf.trouble:
            run.console.warn(f"{shelf.destination.shown}: {shelf.trouble.message}")
            continue
        rows = [
            (
                h.name,
                zulu(h.copy.snapshot_at) if h.copy else None,
                human_size(h.copy.size_bytes) if h.copy else None,
                h.copy.cipher if h.copy else None,
                zulu(h.copy.pushed_at) if h.copy else None,
                "; ".join(h.problems) or f"full length, {h.signed}",
            )
            for h in shelf.held
        ]
        columns = ("name", "snapshot", "size", "encrypted", "pushed", "state")
        run.console.table(f"Copies of {site.name} in {shelf.destination.shown}", columns, rows)
        if not rows:
            name = shelf.destination.name or shelf.destination.shown
            run.console.info(f"no copies: inv offsite.push --to {shlex.quote(name)}")
    if away:
        raise away  # what is there was shown, and not all of it is known


@command(
    positional="backup_file",
    help={
        "backup_file": "latest, a name that inv offsite.list shows, or evidence (of runbooks)",
        "from_": _FROM,
        "backup_dir": "another directory than the source's",
        **keys.HELP,
    },
)
def pull(
    run: Run,
    backup_file: str,
    from_: tuple[str, ...] = (),
    identity: str | None = None,
    passphrase_fd: int | None = None,
    backup_dir: str | None = None,
) -> None:
    """Bring a copy back into the backup directory, decrypted and proven byte for byte."""
    from archon_ops.actions.offsite.places import destinations
    from archon_ops.actions.offsite.pull import pull as action
    from archon_ops.cli.shared import site_of

    site = site_of(run, backup_dir)
    given = keys.keys_of(identity, passphrase_fd)
    if backup_file == "evidence":
        _pull_evidence(run, site, destinations(site, from_), given)
        return
    pulled = action(site, backup_file, destinations(site, from_), given)
    run.console.info(f"restore it: inv restore {pulled.copy.name}")
    if run.options.json:
        run.console.json(
            {
                "source": site.name,
                "filename": pulled.copy.name,
                "path": pulled.path,
                "from": pulled.destination.shown,
                "fetched": pulled.fetched,
                "size_bytes": pulled.copy.size_bytes,
            }
        )


def _pull_evidence(run: Run, site: Site, places: tuple[Destination, ...], given: Keys) -> None:
    from archon_ops.actions.offsite.evidence_back import pull_evidence

    done = pull_evidence(site, places, given)
    run.console.info(f"{len(done.fetched)} run(s) in {done.folder}, {len(done.there)} were here")
    run.console.info("check it: inv evidence.verify, with --key FILE where no key is known")
    if run.options.json:
        run.console.json(
            {
                "source": site.name,
                "folder": done.folder,
                "fetched": done.fetched,
                "there": done.there,
                "head": done.head,
            }
        )


@command(
    positional="backup_file",
    help={
        "backup_file": "latest, all, or a name that inv offsite.list shows",
        "from_": _FROM,
        **keys.HELP,
    },
)
def verify(
    run: Run,
    backup_file: str,
    from_: tuple[str, ...] = (),
    identity: str | None = None,
    passphrase_fd: int | None = None,
) -> ExitCode:
    """Read copies in full: are they what was pushed? With a key: the backup that was taken?"""
    from archon_ops.actions.offsite import look
    from archon_ops.actions.offsite.places import destinations
    from archon_ops.cli.shared import site_of

    site = site_of(run)
    given = keys.keys_of(identity, passphrase_fd)
    seen, away = look.verify(site, backup_file, destinations(site, from_), given)
    refused = look.refusal(seen)
    if run.options.json:
        run.console.json(
            {
                "source": site.name,
                "passed": refused is None and away is None,
                "not_read": away.message if away else None,
                "copies": [
                    {"filename": s.name, "from": s.destination.shown, "passed": not s.problems}
                    | {"problems": s.problems, "not_proven": s.not_proven}
                    for s in seen
                ],
            }
        )
        worst = refused or away
        return worst.exit_code if worst else ExitCode.DONE
    rows = [
        (
            s.name,
            s.destination.shown,
            "FAILED" if s.problems else "passed",
            "; ".join((*s.problems, *(f"not proven: {n}" for n in s.not_proven))) or "-",
        )
        for s in seen
    ]
    run.console.table(
        f"Verification of copies of {site.name}", ("name", "place", "result", "findings"), rows
    )
    if worst := refused or away:
        raise worst
    return ExitCode.DONE


@command(help={"from_": _FROM, "retention": "keep the last N copies at each place"})
def prune(
    run: Run,
    from_: tuple[str, ...] = (),
    retention: int | None = None,
    dry_run: bool = False,
    yes: bool = False,
) -> None:
    """Delete copies by the policy of each place; what is locked there and the newest stay."""
    from archon_ops.actions.offsite import prune as action
    from archon_ops.actions.offsite.places import destinations
    from archon_ops.cli.shared import site_of
    from archon_ops.model.units import human_size, zulu

    site = site_of(run)
    places = destinations(site, from_)
    planned = action.plan(site, places, retention)
    for pruning in planned:
        rows = [
            (
                d.backup.name,
                zulu(d.backup.taken_at),
                human_size(d.backup.size_bytes),
                d.action.value,
                "; ".join(d.reasons),
            )
            for d in pruning.decisions
        ]
        title = f"Copies of {site.name} in {pruning.destination.shown}"
        run.console.table(title, ("name", "snapshot", "size", "action", "why"), rows)
    going = [f"{p.destination.shown}: {name}" for p in planned for name in p.going]
    removed: dict[str, tuple[str, ...]] = {}
    if going and not dry_run:
        run.console.confirm(site.name, "\n".join(f"Delete {text}" for text in going))
        done = action.prune(site, places, retention)
        removed = {pruning.destination.shown: names for pruning, names in done}
    elif not going:
        run.console.info("nothing to delete")
    if run.options.json:
        run.console.json(
            {
                "source": site.name,
                "dry_run": dry_run,
                "places": [
                    {
                        "from": p.destination.shown,
                        "removed": removed.get(p.destination.shown, ()),
                        "decisions": [
                            {
                                "filename": d.backup.name,
                                "action": d.action.value,
                                "reasons": d.reasons,
                            }
                            for d in p.decisions
                        ],
                    }
                    for p in planned
                ],
            }
        )
