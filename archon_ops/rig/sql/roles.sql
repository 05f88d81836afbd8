-- The roles that Archon's policies name, and what Supabase keeps in schema auth.
-- All of it may be there already; then it is left alone.

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- another session of this server made it in between
        END;
    END LOOP;
    IF to_regnamespace('auth') IS NULL THEN
        CREATE SCHEMA auth;
        GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role;
    END IF;
    IF to_regprocedure('auth.role()') IS NULL THEN
        CREATE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE
            AS $body$ SELECT nullif(current_setting('request.jwt.claim.role', true), '') $body$;
        COMMENT ON FUNCTION auth.role() IS 'Role of the current API request, NULL outside of one';
    END IF;
END
$$;
