-- What stands beside Archon, as the role postgres makes it: the publication with one of Archon's
-- tables, and tables of other services that are written to all the time.

CREATE PUBLICATION supabase_realtime FOR TABLE public.archon_tasks;

CREATE SCHEMA langfuse;
CREATE TABLE public.chat_message (  -- flowise keeps its tables in public
    writer uuid, n bigint, body text NOT NULL, PRIMARY KEY (writer, n)
);
CREATE TABLE langfuse.traces (LIKE public.chat_message INCLUDING ALL);
CREATE TABLE n8n.execution_entity (LIKE public.chat_message INCLUDING ALL);
