-- The role itself stays: other databases of the server may use it.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'pc_reader') THEN
        ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE SELECT ON TABLES FROM pc_reader;
        REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM pc_reader;
        REVOKE USAGE ON SCHEMA public FROM pc_reader;
    END IF;
END $$;
