"""RESTORE.txt: how to restore the newest backup by hand, on a day on which this tool cannot run."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterable, Iterator

from archon_ops.model.backup import Manifest
from archon_ops.model.units import human_size, zulu
from archon_ops.site import Site
from archon_ops.storage.atomic import Temporary
from archon_ops.storage.names import shown

NAME = "RESTORE.txt"


@contextlib.contextmanager
def prepared(site: Site, kind: str, dump: str, manifest: Manifest) -> Iterator[Temporary]:
    """The file for a new dump, on the disk under a temporary name; it still has to get its own."""
    with Temporary(site.directory.path, site.run_id) as temporary:
        temporary.write(text(site, kind, dump, manifest).encode())
        temporary.sync()
        yield temporary


def text(site: Site, kind: str, dump: str, manifest: Manifest) -> str:
    """The file's content: shell lines behind four blanks, everything else is prose."""
    server = manifest.server
    stamp = f"{manifest.snapshot_at:%Y%m%d_%H%M%S}"
    fresh, old = f"restored_{stamp}", f"before_{stamp}"
    database = identifier(server.database)
    container = shlex.quote(site.source.container or "supabase-ai-db")
    user = f"-U {shlex.quote(site.source.user or 'postgres')}"
    inside = f"docker exec {container} psql {user}"
    roles = tuple(f"CREATE ROLE {identifier(name)}" for name in manifest.roles)
    locale = (
        f"--encoding={server.encoding} --lc-collate={shlex.quote(server.collate)} "
        f"--lc-ctype={shlex.quote(server.ctype)}"
    )
    return f"""How to restore {dump} without archon_ops

It holds database {shown(server.database)} of source {site.name}
({kind} {shown(server.host)}) as of {zulu(manifest.snapshot_at)}:
{manifest.rows} rows, {human_size(manifest.size_bytes)}, written by pg_dump {manifest.pg_dump}
from PostgreSQL {server.version}, compression {manifest.codec}.
You need pg_restore of version {server.major} or newer{_codec_note(manifest.codec)}, and a server of
version {server.major} or newer{_extensions(manifest)}.

Run the indented lines with bash, one after the other, in the folder that holds the dump.
Until step 6 nothing that is there now is changed.

1. Is the file what was written? Unless this prints OK, do not use it:

    echo {shlex.quote(f"{manifest.sha256}  {dump}")} | sha256sum --check

2. Tell the PostgreSQL programs where the server is, as a superuser (change these), and try it:

    export PGHOST="${{PGHOST:-localhost}}" PGPORT="${{PGPORT:-5432}}" PGUSER="${{PGUSER:-postgres}}"
    psql -d template1 -c "SELECT version()"

3. Make the roles that the dump names. "already exists" is no failure here. The new ones cannot
   log in yet: ALTER ROLE ... LOGIN PASSWORD ... for those that do.

{_commands(roles)}
4. Restore into a new database, beside the old one. Where the server does not know the locale,
   leave out --lc-collate and --lc-ctype.

    createdb --maintenance-db=template1 --template=template0 {locale} {fresh}
    PGOPTIONS="-c maintenance_work_mem=256MB" pg_restore --exit-on-error --dbname={fresh} {dump}
    psql -d {fresh} -c "ANALYZE"

5. Look at it. {_question(manifest)[1]}

    psql -d {fresh} -c {shlex.quote(_question(manifest)[0])}

6. Stop Archon. Then put the new database in the place of the old one, which is kept as {old}.
   Where the old one is gone, the second of these lines fails, and that is no failure.

{_commands(_switch(database, literal(server.database), fresh, old, manifest))}
{_attributes(manifest)}In a container, steps 3 to 6 are the following; the same remarks hold:

{_commands(roles, inside)}
    docker exec {container} createdb {user} --maintenance-db=template1 --template=template0 \\
        {locale} {fresh}
    docker exec -i -e PGOPTIONS="-c maintenance_work_mem=256MB" {container} \\
        pg_restore {user} --exit-on-error --dbname={fresh} < {dump}
    {inside} -d {fresh} -c "ANALYZE"
    {inside} -d {fresh} -c {shlex.quote(_question(manifest)[0])}

{_commands(_switch(database, literal(server.database), fresh, old, manifest), inside)}
Archon's encryption key is in no dump. Without the ENCRYPTION_KEY (or SUPABASE_SERVICE_KEY) of the
.env that was in use then, the API keys stored in archon_settings cannot be read.
"""


def _commands(statements: Iterable[str], psql: str = "psql") -> str:
    """A shell line for each statement; from template1, which every server has."""
    return "".join(f"    {psql} -d template1 -c {shlex.quote(sql)}\n" for sql in statements)


def _switch(database: str, name: str, fresh: str, old: str, manifest: Manifest) -> Iterator[str]:
    """The statements that bring a database into service under the old one's name."""
    yield f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {name}"
    yield f"ALTER DATABASE {database} RENAME TO {old}"
    yield f"ALTER DATABASE {fresh} RENAME TO {database}"
    if owner := manifest.attributes.get("owner"):
        yield f"ALTER DATABASE {database} OWNER TO {identifier(owner)}"


def _attributes(manifest: Manifest) -> str:
    """What belongs to the database itself, which no dump of its content holds."""
    owner = manifest.attributes.get("owner", "")
    own = (f"{owner} {right}" for right in ("CONNECT", "CREATE", "TEMPORARY"))
    usual = ", ".join(("public CONNECT", "public TEMPORARY", *own))
    wanted = {
        name: value
        for name, value in manifest.attributes.items()
        if value and name.startswith(("setting ", "rights")) and value != usual
    }
    lines = "".join(f"   {shown(name)}: {shown(value)}\n" for name, value in wanted.items())
    return f"   The old one also had this, which no dump holds:\n\n{lines}\n" if lines else ""


def _extensions(manifest: Manifest) -> str:
    names = [shown(e.name) for e in manifest.extensions if e.name != "plpgsql"]
    return f" with the extensions {', '.join(names)}" if names else ""


def identifier(name: str) -> str:
    """A name as SQL takes it, on one line whatever is in it."""
    return _quoted(name, '"')


def literal(text: str) -> str:
    """A text as SQL takes it, on one line whatever is in it."""
    return _quoted(text, "'")


def _quoted(text: str, quote: str) -> str:
    doubled = text.replace(quote, quote * 2)
    if doubled.isprintable():
        return f"{quote}{doubled}{quote}"
    escaped = "".join(c if c.isprintable() and c != "\\" else f"\\+{ord(c):06x}" for c in doubled)
    return f"U&{quote}{escaped}{quote}"


def _codec_note(codec: str) -> str:
    name = codec.partition(":")[0]
    return "" if name in ("gzip", "none") else f", built with {name}"


def _question(manifest: Manifest) -> tuple[str, str]:
    """A query whose answer shows that rows are there, and what it must answer."""
    tables = sorted(manifest.tables, key=lambda t: (t.table.startswith("archon_"), t.rows))
    if not tables:
        return "SELECT current_database()", "The dump holds no table."
    name = f"{identifier(tables[-1].schema)}.{identifier(tables[-1].table)}"
    return (
        f"SELECT count(*) FROM {name}",
        f"The dump holds {manifest.archon_rows} rows in Archon's tables; this counts "
        f"{tables[-1].rows}:",
    )
