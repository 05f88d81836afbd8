"""Files for PostgreSQL's programs are gone after their block, or after the next run's sweep."""

from __future__ import annotations

from archon_ops.actions.files import file_of
from archon_ops.storage.sweep import sweep
from tests.support import Installation


def test_what_a_killed_run_leaves_is_swept(empty_installation: Installation) -> None:
    site = empty_installation.site()
    site.directory.path.mkdir(parents=True)
    site.directory.prepare()
    with file_of(site)(b"1;\n", ".list") as path:
        assert (path.parent, path.suffix) == (site.directory.path, ".list")
        assert path.read_bytes() == b"1;\n"
        assert sweep(site.directory) == ()  # somebody uses it
    assert not path.exists()
    path.write_bytes(b"1;\n")  # as a killed run leaves it: nobody holds it open
    assert sweep(site.directory) == (path,)
    assert not path.exists()
