"""The database that the rig calls Supabase's has its roles, rights and neighbours."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.docker import supabase as supabase_shape
from tests.docker.database import Database
from tests.docker.supabase import Supabase

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("names")]


def test_the_superuser_is_supabase_admin(supabase: Supabase) -> None:
    columns = "rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolcanlogin, rolinherit"
    roles = supabase.psql(
        f"SELECT rolname, {columns} FROM pg_roles WHERE rolname IN ('postgres', 'supabase_admin', "
        "'anon', 'authenticated', 'service_role', 'authenticator') ORDER BY 1"
    )

    assert roles.splitlines() == [
        "anon|False|False|False|False|False|False",
        "authenticated|False|False|False|False|False|False",
        "authenticator|False|False|False|False|True|False",
        "postgres|False|True|True|True|True|True",
        "service_role|False|False|False|True|False|False",
        "supabase_admin|True|True|True|True|True|True",
    ]
    assert supabase.database.container.name == "supabase-ai-db"
    assert "init" not in supabase.database.exec("cat", "/proc/1/comm").stdout


def test_postgres_cannot_do_what_only_a_superuser_can(supabase: Supabase) -> None:
    for statement in (
        "SELECT secret FROM vault.secrets",
        "SET session_replication_role = replica",
        "ALTER TABLE storage.objects ADD COLUMN x int",
        "DROP EVENT TRIGGER pgrst_ddl_watch",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            supabase.psql(statement)


def test_postgres_cannot_dump_the_vault(supabase: Supabase) -> None:
    pg_dump = (
        "/usr/lib/postgresql/17/bin/pg_dump",
        "-Fc",
        "--no-sync",
        "-f",
        "/dev/null",
        "postgres",
    )

    refused = supabase.database.exec(*pg_dump, "-U", "postgres")
    without = supabase.database.exec(*pg_dump, "-U", "postgres", "--exclude-schema=vault")

    assert refused.returncode == 1
    assert "permission denied" in refused.stderr
    assert "vault" in refused.stderr
    assert (without.returncode, without.stderr) == (0, "")
    assert supabase.database.exec(*pg_dump, "-U", "supabase_admin").returncode == 0


def test_extensions_and_schemas_are_where_supabase_has_them(supabase: Supabase) -> None:
    extensions = supabase.psql(
        "SELECT extname, nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace "
        "WHERE extname <> 'plpgsql' ORDER BY 1"
    )
    owners = supabase.psql(
        "SELECT nspname, nspowner::regrole FROM pg_namespace WHERE nspname IN "
        "('auth', 'storage', 'vault', 'extensions') ORDER BY 1"
    )

    assert extensions == "pg_trgm|extensions\npgcrypto|extensions\nvector|extensions"
    assert owners.splitlines() == [
        "auth|supabase_auth_admin",
        "extensions|postgres",
        "storage|supabase_storage_admin",
        "vault|supabase_admin",
    ]
    assert supabase.psql("SELECT count(*) FROM storage.objects") == "0"
    assert supabase.psql("SELECT auth.role() IS NULL") == "True"
    assert supabase.psql("SELECT evtname FROM pg_event_trigger ORDER BY 1").splitlines() == [
        "pgrst_ddl_watch",
        "pgrst_drop_watch",
    ]


def test_archon_belongs_to_postgres_and_is_filled(supabase: Supabase) -> None:
    owners = supabase.psql(
        "SELECT DISTINCT relowner::regrole FROM pg_class "
        "WHERE relkind = 'r' AND relname LIKE 'archon\\_%'"
    )
    rows = supabase.psql(
        "SELECT count(*) FROM archon_crawled_pages WHERE embedding_1536 IS NOT NULL"
    )
    nearest = supabase.psql(
        "SELECT count(*) FROM match_archon_crawled_pages("
        "(SELECT embedding_1536 FROM archon_crawled_pages "
        " WHERE embedding_1536 IS NOT NULL LIMIT 1), 3)"
    )

    assert owners == "postgres"
    assert int(rows) > 0
    assert int(nearest) > 0
    assert supabase.rows["archon_settings"] > 0


def test_the_database_has_settings_grants_and_a_publication(supabase: Supabase) -> None:
    settings = supabase.psql(
        "SELECT coalesce(r.rolname, ''), unnest(setconfig) FROM pg_db_role_setting s "
        "LEFT JOIN pg_roles r ON r.oid = setrole WHERE setdatabase <> 0 ORDER BY 1, 2"
    )
    publication = supabase.psql(
        "SELECT pubowner::regrole, schemaname, tablename FROM pg_publication p "
        "JOIN pg_publication_tables t USING (pubname) WHERE pubname = 'supabase_realtime'"
    )
    acl = supabase.psql(
        "SELECT datdba::regrole, datacl::text FROM pg_database WHERE datname = 'postgres'"
    )

    assert settings.splitlines() == [
        "|app.settings.jwt_exp=3600",
        "|default_text_search_config=pg_catalog.english",
        "service_role|work_mem=8MB",
    ]
    assert publication == "postgres|public|archon_tasks"
    assert acl.startswith("postgres|")
    assert "service_role=Tc/postgres" in acl
    anon = "SELECT has_table_privilege('anon', 'public.archon_tasks', 'INSERT')"
    assert supabase.psql(anon) == "True"  # by default privileges, which a new table would not have


def test_the_writer_loses_nothing_when_nothing_is_lost(supabase: Supabase) -> None:
    with supabase.writer() as writer:
        writer.wait_for_more(30)

    assert writer.acknowledged >= 30
    assert writer.lost() == {}
    assert writer.failures == []


def test_the_writer_notices_what_is_lost(supabase: Supabase) -> None:
    with supabase.writer() as writer:
        writer.wait_for_more(5)
    supabase.psql("DELETE FROM langfuse.traces WHERE n = 3")
    supabase.psql("TRUNCATE n8n.execution_entity")

    lost = writer.lost()

    assert lost["langfuse.traces"] == [3]
    assert lost["n8n.execution_entity"] == list(range(1, writer.acknowledged + 1))
    assert "public.chat_message" not in lost


def test_the_writer_goes_on_after_a_restart(fresh_pg18: Supabase) -> None:
    with fresh_pg18.writer() as writer:
        writer.wait_for_more(5)
        fresh_pg18.database.container.restart(timeout=30)
        fresh_pg18.database.wait_ready()
        writer.wait_for_more(5)

    assert writer.failures != []
    assert writer.lost() == {}


@pytest.fixture
def fresh_pg18(database_container: Callable[..., Database], pg18_image: str) -> Supabase:
    """Supabase's shape on PostgreSQL 18, under a made-up name."""
    made = database_container(pg18_image, env=supabase_shape.ENVIRONMENT, publish=True)
    return supabase_shape.shape(made)
