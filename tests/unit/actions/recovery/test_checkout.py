"""Archon's code again, from a real repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from archon_ops.actions.recovery.checkout import check_out, head_of
from archon_ops.errors import OpsError, PreconditionError, UsageError
from tests import git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits, a tag on the first, and a branch."""
    made = tmp_path / "origin of it"
    made.mkdir()
    (made / "docker-compose.yml").write_text("one")
    git.begin(made)
    (made / "docker-compose.yml").write_text("two")
    git.commit(made, "two")
    git.git(made, "tag", "v1", "HEAD~1")
    git.git(made, "branch", "stable/1", "HEAD~1")
    return made


@pytest.mark.parametrize(
    ("revision", "content"), [("", "two"), ("v1", "one"), ("stable/1", "one"), ("main", "two")]
)
def test_a_clone_at_a_revision(
    repository: Path, tmp_path: Path, revision: str, content: str
) -> None:
    done = check_out(str(repository), revision, tmp_path / "deep" / "archon")
    assert done.cloned
    assert (done.folder / "docker-compose.yml").read_text() == content
    assert head_of(done.folder) == done.commit


def test_a_commit_by_its_first_letters(repository: Path, tmp_path: Path) -> None:
    first = git.git(repository, "rev-parse", "v1")
    done = check_out(str(repository), first[:8], tmp_path / "archon")
    assert done.commit == first


def test_a_checkout_that_is_there_stays(repository: Path, tmp_path: Path) -> None:
    first = check_out(str(repository), "v1", tmp_path / "archon")
    (first.folder / "notes").write_text("mine")
    again = check_out(str(repository), "v1", tmp_path / "archon")
    assert not again.cloned
    assert again.commit == first.commit
    with pytest.raises(PreconditionError, match="may hold work of yours"):
        check_out(str(repository), "main", tmp_path / "archon")
    assert (first.folder / "notes").read_text() == "mine"


def test_what_is_no_repository_is_not_overwritten(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "archon"
    folder.mkdir()
    (folder / "notes").write_text("mine")
    with pytest.raises(PreconditionError, match="not empty and no repository"):
        check_out(str(repository), "", folder)
    assert [p.name for p in folder.iterdir()] == ["notes"]


def test_a_revision_that_is_not_there(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="has no v9"):
        check_out(str(repository), "v9", tmp_path / "archon")


def test_a_repository_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="git clone failed"):
        check_out(str(tmp_path / "nowhere"), "", tmp_path / "archon")


@pytest.mark.parametrize(
    ("url", "revision"),
    [
        ("", ""),
        ("--upload-pack=touch /tmp/x", ""),
        ("ext::sh -c id", ""),
        ("https://me:secret@example.org/a.git", ""),
        ("https://token@example.org/a.git", ""),
        ("/srv/a", "--orphan"),
        ("/srv/a", "a..b"),
        ("/srv/a", "$(id)"),
    ],
)
def test_what_is_refused_before_git_runs(tmp_path: Path, url: str, revision: str) -> None:
    with pytest.raises(UsageError) as raised:
        check_out(url, revision, tmp_path / "archon")
    assert "secret" not in f"{raised.value.message}{raised.value.hint}"
    assert not (tmp_path / "archon").exists()
