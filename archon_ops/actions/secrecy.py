"""The secrets that what we hand to others must not hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from archon_ops.errors import OpsError
from archon_ops.model.masking import secrets_of
from archon_ops.postgres.direct import parse_dsn
from archon_ops.settings import SourceSettings, archon_variables, own_variables
from archon_ops.site import Site

if TYPE_CHECKING:  # it brings Docker's SDK, which other sources never need
    from archon_ops.hosts.described import Container

# Shorter values of our own environment are words, not secrets.
_SHORT_OWN = 6


def every_secret(site: Site, containers: Iterable[Container] = ()) -> Iterator[str]:
    """Every secret that we could come across.

    Args:
        site: of whose sources.
        containers: whose environment may have been seen.
    """
    for source in site.settings.sources.values():
        yield from _source_secrets(source)
    own = {name: value.get_secret_value() for name, value in own_variables().items()}
    yield from (s for s in secrets_of(own, guess=False) if len(s) >= _SHORT_OWN)
    files = {folder / ".env" for folder in (site.settings.home(site.name), site.settings.root)}
    for file in files:
        try:
            values = archon_variables(file)
        except OpsError:  # what we cannot read, we cannot have written down either
            continue
        plain = {name: value.get_secret_value() for name, value in values.items()}
        yield from secrets_of(plain, guess=True)
    for container in containers:
        yield from secrets_of(container.environment, guess=True)


def _source_secrets(source: SourceSettings) -> Iterator[str]:
    yield source.password.get_secret_value()
    dsn = source.dsn.get_secret_value()
    yield dsn
    yield from secrets_of({"DSN": dsn}, guess=False)
    try:
        yield parse_dsn(dsn).get("password", "")
    except OpsError:
        return
