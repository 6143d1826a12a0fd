-- Tracks, newest first; all variables are optional:
--   psql "$PC_POSTGRES_DSN" -v camera=campus -v from=2026-03-01 -v to=2026-03-02 -v limit=20 -f sql/queries/query_tracks.sql
-- `from` and `to` are times of the server's zone unless they say otherwise; `to` itself is left out.
\if :{?camera} \else \set camera '' \endif
\if :{?from} \else \set from '-infinity' \endif
\if :{?to} \else \set to 'infinity' \endif
\if :{?limit} \else \set limit 50 \endif
SELECT v.camera, t.video_id, t.track_id, t.started_at, t.ended_at,
    round(extract(epoch FROM t.ended_at - t.started_at)::numeric, 1) AS seconds,
    t.detection_count, round(t.mean_confidence::numeric, 3) AS mean_confidence,
    (ARRAY['unknown', 'male', 'female'])[1 + coalesce(g.gender, 0)] AS gender,
    (SELECT string_agg(m.line || ' ' || m.direction, ', ' ORDER BY m.ts) FROM people_movements AS m
     WHERE (m.video_id, m.track_id) = (t.video_id, t.track_id)) AS crossings
FROM tracks AS t
JOIN videos AS v USING (video_id)
LEFT JOIN track_genders AS g USING (video_id, track_id)
WHERE (:'camera' = '' OR v.camera = :'camera')
    AND t.started_at >= :'from'::timestamptz AND t.started_at < :'to'::timestamptz
ORDER BY t.started_at DESC, t.video_id, t.track_id
LIMIT :limit;
