-- The read-only role, for dashboards: GRANT pc_reader TO somebody. Roles belong to the whole server, so another database
-- may have made it, at this very moment too. A user who may not create roles gets everything but this.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pc_reader') THEN
        CREATE ROLE pc_reader NOLOGIN;
        COMMENT ON ROLE pc_reader IS 'Reads every table of pc_pipeline and writes none.';
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'no role pc_reader: this user may not create roles';
END $$;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'pc_reader') THEN
        GRANT USAGE ON SCHEMA public TO pc_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO pc_reader;
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO pc_reader;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'role pc_reader: this user may not grant everything to it';
END $$;
