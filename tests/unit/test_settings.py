from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from archon_ops.errors import UsageError
from archon_ops.settings import (
    OffsiteSettings,
    PitrSettings,
    RepositorySettings,
    Settings,
    archon_secret,
    find_root,
    load,
    pause_point,
)

SECRET = "geheim-4711"  # noqa: S105 - looked for in what is printed


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*os.environ,):
        if name.upper().startswith("ARCHON_") or name in ("ENCRYPTION_KEY", "SUPABASE_SERVICE_KEY"):
            monkeypatch.delenv(name)


@pytest.fixture
def toml(tmp_path: Path) -> Callable[[str], Path]:
    """Write archon.toml; gives the root."""

    def write(text: str) -> Path:
        (tmp_path / "archon.toml").write_text(text)
        return tmp_path

    return write


def refused(root: Path, **flags: object) -> str:
    with pytest.raises(UsageError) as caught:
        load(root, **flags)
    assert caught.value.hint
    return caught.value.message


class TestRoot:
    def test_the_nearest_folder_upward_with_a_marker(self, tmp_path: Path) -> None:
        deep = tmp_path / "a" / "b" / "c"
        deep.mkdir(parents=True)
        (tmp_path / "tasks.py").touch()
        assert find_root(deep) == tmp_path
        (tmp_path / "a" / "archon.toml").touch()
        assert find_root(deep) == tmp_path / "a"

    def test_a_folder_of_that_name_is_no_marker(self, tmp_path: Path) -> None:
        deep = tmp_path / "a"
        (deep / "tasks.py").mkdir(parents=True)
        (tmp_path / "archon.toml").touch()
        assert find_root(deep) == tmp_path

    def test_else_the_folder_itself(self, tmp_path: Path) -> None:
        # Nothing above pytest's temporary folders is a root of ours.
        assert find_root(tmp_path) == tmp_path

    def test_it_starts_from_the_working_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "tasks.py").touch()
        (tmp_path / "deep").mkdir()
        monkeypatch.chdir(tmp_path / "deep")
        settings = load()
        assert settings.root == tmp_path
        assert settings.state == tmp_path / ".archon"


class TestPrecedence:
    def test_flags_then_environment_then_dotenv_then_toml_then_default(
        self, toml: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = toml('source = "one"\n[sources.one]\nkind = "embedded"\n')
        assert load(root).source == "one"
        (root / ".env").write_text("ARCHON_SOURCE=demo\n")
        assert load(root).source == "demo"
        monkeypatch.setenv("ARCHON_SOURCE", "archon")
        assert load(root).source == "archon"
        assert load(root, source="one").source == "one"
        assert load(root, source=None).source == "archon"

    def test_defaults(self, tmp_path: Path) -> None:
        settings = load(tmp_path)
        assert settings.source == "archon"
        assert set(settings.sources) == {"archon", "demo"}
        assert (settings.retention.last, settings.keeps_to_gzip) == (10, False)
        assert settings.kept_for == timedelta(days=7)
        assert settings.backup_dir("archon") == tmp_path / "backups"
        assert settings.backup_dir("demo") == tmp_path / ".archon/demo/backups"
        assert settings.home("archon") == tmp_path
        assert settings.sources["archon"].container == "supabase-ai-db"
        assert settings.sources["archon"].display_name == "Archon Knowledge Base"

    def test_nested_values_merge(
        self, toml: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = toml("[retention]\nlast = 3\ndaily = 4\n[health]\naging = '3h'\n")
        monkeypatch.setenv("ARCHON_RETENTION__DAILY", "5")
        settings = load(root)
        assert (settings.retention.last, settings.retention.daily) == (3, 5)
        assert settings.health.aging == timedelta(hours=3)

    def test_a_foreign_env_file_is_no_trouble(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("SUPABASE_URL=http://x\nPORT=1\nARCHON_SERVER_PORT=8181\n")
        assert load(tmp_path).source == "archon"


class TestSources:
    def test_a_built_in_one_can_be_changed_in_part(self, toml: Callable[[str], Path]) -> None:
        root = toml("[sources.archon]\ncontainer = 'other'\nbackup_dir = '/mnt/backups'\n")
        archon = load(root).sources["archon"]
        assert (archon.kind, archon.container, archon.database) == (
            "container",
            "other",
            "postgres",
        )
        assert load(root).backup_dir("archon") == Path("/mnt/backups")

    def test_another_one_is_added(self, toml: Callable[[str], Path]) -> None:
        root = toml("[sources.prod]\nkind = 'direct'\ndsn = 'host=db'\narchon_home = 'home'\n")
        settings = load(root, source="prod")
        assert set(settings.sources) == {"archon", "demo", "prod"}
        assert settings.backup_dir("prod") == root / "backups/prod"
        assert settings.home("prod") == root / "home"

    def test_a_password_from_the_environment(
        self, toml: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = toml("[sources.prod]\nkind = 'direct'\ndsn = 'host=db'\n")
        monkeypatch.setenv("ARCHON_SOURCES__PROD__PASSWORD", SECRET)
        prod = load(root).sources["prod"]
        assert prod.password.get_secret_value() == SECRET
        assert prod.dsn.get_secret_value() == "host=db"

    def test_secrets_are_never_shown(self, toml: Callable[[str], Path]) -> None:
        root = toml(
            "[sources.prod]\nkind = 'direct'\n"
            f"dsn = 'postgresql://u:{SECRET}@h/d'\npassword = '{SECRET}'\n"
        )
        settings = load(root)
        shown = (repr(settings), str(settings), settings.model_dump_json(), f"{settings.sources}")
        assert SECRET not in " ".join(shown)

    def test_nothing_can_be_changed_afterwards(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="frozen"):
            load(tmp_path).source = "demo"


class TestRefusals:
    def test_malformed_toml_names_file_and_line(self, toml: Callable[[str], Path]) -> None:
        root = toml("source = 'demo'\n\n[retention\nlast = 3\n")
        assert refused(root).startswith(f"{root}/archon.toml:3: ")

    def test_an_unknown_setting_names_file_and_line(self, toml: Callable[[str], Path]) -> None:
        root = toml("source = 'demo'\nretension = 3\n")
        assert refused(root) == f"{root}/archon.toml:2: unknown setting 'retension'"

    def test_an_unknown_nested_setting(self, toml: Callable[[str], Path]) -> None:
        root = toml("[retention]\nlast = 3\nhourly = 4\n")
        assert refused(root).startswith(f"{root}/archon.toml:3: retention.hourly: ")

    def test_an_unknown_source_names_the_known_ones(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="unknown source 'nope'") as caught:
            load(tmp_path, source="nope")
        assert "archon, demo" in caught.value.hint

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            (f"[retention]\nlast = '{SECRET}'\n", 2),
            ("[retention]\n\nlast = 0\n", 3),
            (f"[health]\naging = '{SECRET}'\n", 2),
            (f"[sources.prod]\nkind = '{SECRET}'\n", 2),
            (f"[sources.prod]\nkind = 'direct'\npassword = ['{SECRET}']\n", 3),
            (f"[sources.prod]\ndsn = '{SECRET}'\n", 1),
            (f"[sources]\nprod = '{SECRET}'\n", 2),
            (f"sources = '{SECRET}'\n", 1),
        ],
    )
    def test_a_wrong_value_is_placed_and_not_repeated(
        self, toml: Callable[[str], Path], text: str, line: int
    ) -> None:
        root = toml(text)
        message = refused(root)
        assert message.startswith(f"{root}/archon.toml:{line}: "), message
        if "aging" not in text:  # an age is no secret, and its message helps by repeating it
            assert SECRET not in message

    def test_a_wrong_variable_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ARCHON_RETENTION__LAST", SECRET)
        message = refused(tmp_path)
        assert message.startswith("ARCHON_RETENTION__LAST: ")
        assert SECRET not in message

    def test_a_variable_that_is_no_json(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ARCHON_SOURCES", SECRET)
        assert SECRET not in refused(tmp_path)

    def test_a_file_that_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "archon.toml").write_bytes(b"source = '\xff'\n")
        assert str(tmp_path / "archon.toml") in refused(tmp_path)

    def test_a_file_that_is_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "archon.toml").mkdir()
        assert str(tmp_path / "archon.toml") in refused(tmp_path)


class TestArchonSecret:
    def test_its_own_file_comes_first_and_the_encryption_key_before_the_service_key(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert archon_secret(tmp_path) is None
        monkeypatch.setenv("SUPABASE_SERVICE_KEY", "service")
        assert _told(tmp_path) == ("SUPABASE_SERVICE_KEY", "service")
        (tmp_path / ".env").write_text("SUPABASE_SERVICE_KEY=own\nENCRYPTION_KEY=\n")
        assert _told(tmp_path) == ("SUPABASE_SERVICE_KEY", "own")
        monkeypatch.setenv("ENCRYPTION_KEY", "key")
        (tmp_path / ".env").write_text("SUPABASE_SERVICE_KEY=own\n")
        assert _told(tmp_path) == ("ENCRYPTION_KEY", "key")

    def test_it_is_never_shown(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text(f"ENCRYPTION_KEY={SECRET}\n")
        assert SECRET not in repr(archon_secret(tmp_path))


def _told(home: Path) -> tuple[str, str] | None:
    found = archon_secret(home)
    return (found[0], found[1].get_secret_value()) if found else None


def test_pause_point(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pause_point() is None
    monkeypatch.setenv("ARCHON_OPS_PAUSE_AT", "backup.dump")
    assert pause_point() == "backup.dump"


def test_every_setting_is_in_the_readme() -> None:
    """The table there is for people; it may not fall behind."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    fields = Settings.model_fields
    nested = [name for name in fields if hasattr(fields[name].annotation, "model_fields")]
    names = [
        *(name for name in fields if name not in (*nested, "root", "sources", "offsite")),
        *(
            f"{group}.{name}"
            for group in nested
            for name in fields[group].annotation.model_fields  # type: ignore[union-attr]
        ),
        *(f"offsite.NAME.{name}" for name in OffsiteSettings.model_fields),
        *(f"sources.NAME.pitr.{n}" for n in PitrSettings.model_fields if not n.startswith("repo")),
        *(f"….repo1.{name}" for name in RepositorySettings.model_fields if name != "url"),
    ]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_thresholds_follow_the_schedule_unless_they_are_set(tmp_path: Path) -> None:
    config = tmp_path / "archon.toml"
    config.write_text("")
    usual = load(tmp_path).thresholds
    assert (usual.aging, usual.outdated, usual.critical, usual.basis) == (6, 24, 48, "the defaults")
    config.write_text('[schedule]\nbackup = "02:00"\n')
    daily = load(tmp_path).thresholds
    assert (daily.aging, daily.outdated, daily.critical) == (30, 54, 78)
    assert daily.basis == "the schedule '02:00'"
    config.write_text('[schedule]\nbackup = "02:00"\n[health]\naging = "26h"\n')
    own = load(tmp_path).thresholds
    assert (own.aging, own.outdated, own.basis) == (26, 54, "the settings")
    config.write_text('[health]\naging = "26h"\n')
    with pytest.raises(UsageError, match="not rising"):
        _ = load(tmp_path).thresholds
