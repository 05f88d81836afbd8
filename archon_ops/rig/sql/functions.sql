-- The functions that need no vector type, and the triggers.

CREATE FUNCTION update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE FUNCTION archive_task(task_id_param uuid, archived_by_param text DEFAULT 'system')
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM archon_tasks WHERE id = task_id_param AND NOT archived) THEN
        RETURN false;
    END IF;
    WITH RECURSIVE family AS (
        SELECT id FROM archon_tasks WHERE id = task_id_param
        UNION
        SELECT child.id FROM archon_tasks child JOIN family ON child.parent_task_id = family.id
    )
    UPDATE archon_tasks
    SET archived = true, archived_at = now(), archived_by = archived_by_param
    WHERE id IN (SELECT id FROM family) AND NOT archived;
    RETURN true;
END
$$;

CREATE FUNCTION get_embedding_column_name(dimension integer)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF dimension NOT IN (384, 768, 1024, 1536, 3072) THEN
        RAISE EXCEPTION 'Unsupported embedding dimension: %', dimension;
    END IF;
    RETURN 'embedding_' || dimension;
END
$$;

COMMENT ON FUNCTION update_updated_at_column() IS 'Keeps updated_at at the time of the last change';
COMMENT ON FUNCTION archive_task(uuid, text) IS 'Hides a task and its subtasks';

CREATE TRIGGER update_archon_settings_updated_at BEFORE UPDATE ON archon_settings
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_archon_projects_updated_at BEFORE UPDATE ON archon_projects
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_archon_tasks_updated_at BEFORE UPDATE ON archon_tasks
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_archon_prompts_updated_at BEFORE UPDATE ON archon_prompts
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
