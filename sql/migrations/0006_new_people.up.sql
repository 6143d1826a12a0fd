-- Whom each day sees first: over all days everybody is counted once, without reading a single track. And what a dashboard
-- asks of sessions, whatever their number.

ALTER TABLE daily_statistics
    ADD COLUMN new_total int NOT NULL DEFAULT 0 CHECK (new_total >= 0),
    ADD COLUMN new_male int NOT NULL DEFAULT 0 CHECK (new_male >= 0),
    ADD COLUMN new_female int NOT NULL DEFAULT 0 CHECK (new_female >= 0);
COMMENT ON COLUMN daily_statistics.new_total IS 'Of unique_total, those first seen on this day (not gone on from a file of the day before): these add up over days.';
COMMENT ON COLUMN daily_statistics.new_male IS 'Of those, apparently male.';
COMMENT ON COLUMN daily_statistics.new_female IS 'Of those, apparently female.';

UPDATE daily_statistics AS d
   SET new_total = n.total, new_male = n.male, new_female = n.female
  FROM (SELECT s.camera, (t.started_at AT TIME ZONE coalesce((SELECT timezone FROM site), 'UTC'))::date AS date,
               count(*) AS total, count(*) FILTER (WHERE g.gender = 1) AS male, count(*) FILTER (WHERE g.gender = 2) AS female
          FROM tracks AS t JOIN sessions AS s USING (video_id) LEFT JOIN track_genders AS g USING (video_id, track_id)
         WHERE s.status = 'completed'
           AND NOT EXISTS (SELECT FROM track_links AS l WHERE (l.video_id, l.track_id) = (t.video_id, t.track_id))
         GROUP BY 1, 2) AS n
 WHERE (n.camera, n.date) = (d.camera, d.date);

CREATE INDEX sessions_active ON sessions (camera) WHERE status = 'active';
