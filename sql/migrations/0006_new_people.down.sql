DROP INDEX sessions_active;
ALTER TABLE daily_statistics DROP COLUMN new_female, DROP COLUMN new_male, DROP COLUMN new_total;
