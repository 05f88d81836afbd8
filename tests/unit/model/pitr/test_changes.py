from __future__ import annotations

import pytest

from archon_ops.errors import PreconditionError
from archon_ops.model.pitr.changes import archive_command, changes
from archon_ops.model.pitr.recipe import Recipe, dockerfile, override

OURS = archive_command("pgbackrest", "/etc/pgbackrest/pgbackrest.conf", "archon")
FRESH = {
    "archive_mode": "off",
    "archive_command": "(disabled)",
    "archive_library": "",
    "archive_timeout": "0",
    "wal_level": "replica",
}


def test_a_server_that_archives_nothing() -> None:
    found = {c.name: c for c in changes(FRESH, OURS)}
    assert list(found) == ["archive_mode", "archive_command", "archive_timeout"]
    assert found["archive_mode"].restarts
    assert not found["archive_command"].restarts
    assert found["archive_command"].statement == f"ALTER SYSTEM SET archive_command = '{OURS}'"


def test_nothing_is_left_to_do() -> None:
    done = {**FRESH, "archive_mode": "on", "archive_command": OURS, "archive_timeout": "300"}
    assert changes(done, OURS) == ()
    assert changes({**done, "archive_mode": "always"}, OURS) == ()


def test_too_little_in_the_wal() -> None:
    assert "wal_level" in {c.name for c in changes({**FRESH, "wal_level": "minimal"}, OURS)}


@pytest.mark.parametrize(
    "other", [{"archive_command": "wal-g wal-push %p"}, {"archive_library": "basic_archive"}]
)
def test_another_way_of_archiving_is_not_given_up_by_itself(other: dict[str, str]) -> None:
    now = {**FRESH, "archive_mode": "on", **other}
    with pytest.raises(PreconditionError, match=next(iter(other.values()))):
        changes(now, OURS)
    assert changes(now, OURS, replace=True) != ()
    assert changes({**now, "archive_mode": "off"}, OURS) != ()  # it is not in use


def test_an_earlier_one_of_ours_is_changed() -> None:
    earlier = archive_command("pgbackrest", "/other.conf", "archon")
    found = changes({**FRESH, "archive_mode": "on", "archive_command": earlier}, OURS)
    assert "archive_command" in {change.name for change in found}


def test_an_image_of_its_own() -> None:
    recipe = Recipe(
        image="supabase/postgres@sha256:abc",
        image_user="postgres",
        manager="apk",
        user="postgres",
        folders={"/etc/pgbackrest": "pitr-config", "/var/lib/pgbackrest": "pitr-repo1"},
        service="db",
        context='/a "b"/c',
        tag="archon-ops-pitr-archon",
    )
    lines = dockerfile(recipe).splitlines()
    assert lines[1] == "FROM supabase/postgres@sha256:abc"
    assert lines[-1] == "USER postgres"
    assert "apk add --no-cache pgbackrest" in lines[3]
    text = override(recipe, 'version: "3.8"\nservices: {}\n')
    assert 'version: "3.8"' in text
    assert r'context: "/a \"b\"/c"' in text
    assert "      - pitr-repo1:/var/lib/pgbackrest\n" in text
    assert "version" not in override(recipe, "services: {}\n")
