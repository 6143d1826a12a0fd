-- The figures of each camera in each bucket of time, from sessions, tracks, movements and stays; never from detections.
-- Takes: cameras text[] (null: all), starts and ends timestamptz[]: adjoining buckets that begin at a local midnight, from
-- which occupancy is counted anew; day_before: the local midnight before. Gives a row for every bucket a camera has video in.
WITH bucket AS (
    SELECT * FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS b (bucket_start, bucket_end)
), span AS (
    SELECT min(bucket_start) AS day_start, max(bucket_end) AS day_end FROM bucket
), seen AS (
    SELECT s.session_id, s.camera, s.started_at, s.ended_at
      FROM sessions s, span
     WHERE (%(cameras)s::text[] IS NULL OR s.camera = ANY (%(cameras)s::text[]))
       AND s.status = 'completed'
       -- No video is longer than a day: the bound lets the index find the few sessions that can matter.
       AND s.started_at < day_end AND s.started_at > day_start - interval '25 hours' AND s.ended_at > day_start
), covered AS (
    SELECT s.camera, b.bucket_start, b.bucket_end,
           range_agg(tstzrange(greatest(s.started_at, b.bucket_start), least(s.ended_at, b.bucket_end))) AS ranges
      FROM bucket b JOIN seen s ON s.started_at < b.bucket_end AND s.ended_at > b.bucket_start
     GROUP BY 1, 2, 3
), coverage AS (
    SELECT camera, bucket_start, lower(r) AS since, upper(r) AS until FROM covered, unnest(ranges) AS r
), covered_ms AS (
    SELECT camera, bucket_start, sum(extract(epoch FROM until - since) * 1000) AS ms FROM coverage GROUP BY 1, 2
), moved AS (
    SELECT m.camera, m.ts, m.video_id, m.track_id, m.line, m.crossing, m.direction,
           CASE m.direction WHEN 'in' THEN 1 ELSE -1 END AS delta
      FROM span, people_movements m JOIN seen s ON s.session_id = m.video_id
     WHERE (%(cameras)s::text[] IS NULL OR m.camera = ANY (%(cameras)s::text[]))
       AND m.ts >= day_start AND m.ts < day_end
), level AS (
    -- Of crossings at one instant those in come first: nobody is added below who need not be.
    SELECT *, sum(delta) OVER in_order AS level FROM moved
    WINDOW in_order AS (
        PARTITION BY camera ORDER BY ts, direction, video_id, track_id, line, crossing ROWS UNBOUNDED PRECEDING)
), occupied AS (
    -- Whoever leaves an empty room was inside before: the level is lifted so that it never falls below nought.
    SELECT camera, ts AS since, level - least(0, min(level) OVER (in_order ROWS UNBOUNDED PRECEDING)) AS people,
           lead(ts, 1, (SELECT day_end FROM span)) OVER in_order AS until,
           level < least(0, min(level) OVER (in_order ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS is_added
      FROM level
    WINDOW in_order AS (PARTITION BY camera ORDER BY ts, direction, video_id, track_id, line, crossing)
), correction AS (
    SELECT o.camera, b.bucket_start, count(*) AS people
      FROM bucket b JOIN occupied o ON o.since >= b.bucket_start AND o.since < b.bucket_end AND o.is_added
     GROUP BY 1, 2
), peak AS (
    SELECT o.camera, b.bucket_start, max(o.people) AS people
      FROM bucket b JOIN occupied o ON o.since < b.bucket_end AND o.until > b.bucket_start AND o.until > o.since
     GROUP BY 1, 2
), mean AS (
    SELECT c.camera, c.bucket_start,
           sum(o.people * extract(epoch FROM least(o.until, c.until) - greatest(o.since, c.since)) * 1000) AS person_ms
      FROM coverage c JOIN occupied o ON o.camera = c.camera AND o.since < c.until AND o.until > c.since
     GROUP BY 1, 2
), crossed AS (
    SELECT m.camera, b.bucket_start, m.line,
           count(*) FILTER (WHERE m.direction = 'in') AS entered, count(*) FILTER (WHERE m.direction = 'out') AS exited
      FROM bucket b JOIN moved m ON m.ts >= b.bucket_start AND m.ts < b.bucket_end
     GROUP BY 1, 2, 3
), movements AS (
    SELECT camera, bucket_start, sum(entered) AS entered, sum(exited) AS exited,
           jsonb_object_agg(line, jsonb_build_object('in', entered, 'out', exited)) AS by_line
      FROM crossed GROUP BY 1, 2
), stay AS (
    -- A stay belongs to its video. These hours hang on this day's videos and the day before's: on no other's stays.
    SELECT z.camera, z.zone, z.entered_at, z.exited_at, z.dwell_ms, z.entered_seen AND z.exited_seen AS is_whole
      FROM span, zone_visits z JOIN sessions s USING (video_id)
     WHERE (%(cameras)s::text[] IS NULL OR z.camera = ANY (%(cameras)s::text[]))
       AND s.status = 'completed' AND s.started_at < day_end AND s.started_at >= %(day_before)s
       AND z.entered_at < day_end AND z.entered_at >= %(day_before)s AND z.exited_at >= day_start
), dwelt AS (
    -- A stay is of the bucket in which it begins, whole.
    SELECT s.camera, b.bucket_start, s.zone, count(*) AS visits, count(*) FILTER (WHERE NOT is_whole) AS cut,
           round(avg(dwell_ms))::bigint AS mean, max(dwell_ms) AS longest,
           percentile_disc(ARRAY[0.5, 0.9, 0.95]) WITHIN GROUP (ORDER BY dwell_ms) AS percentiles
      FROM bucket b JOIN stay s ON s.entered_at >= b.bucket_start AND s.entered_at < b.bucket_end
     GROUP BY 1, 2, 3
), zone_step AS (
    SELECT camera, zone, ts AS since, sum(delta) OVER in_order AS people,
           lead(ts, 1, (SELECT day_end FROM span)) OVER in_order AS until
      FROM (SELECT camera, zone, entered_at, 1 FROM stay UNION ALL SELECT camera, zone, exited_at, -1 FROM stay)
           AS step (camera, zone, ts, delta)
    WINDOW in_order AS (PARTITION BY camera, zone ORDER BY ts, delta DESC ROWS UNBOUNDED PRECEDING)
), zone_peak AS (
    SELECT z.camera, b.bucket_start, z.zone, max(z.people) AS people
      FROM bucket b JOIN zone_step z ON z.since < b.bucket_end AND z.until > b.bucket_start AND z.until > z.since
     GROUP BY 1, 2, 3
), zone_mean AS (
    SELECT c.camera, c.bucket_start, s.zone,
           sum(extract(epoch FROM least(s.exited_at, c.until) - greatest(s.entered_at, c.since)) * 1000) AS person_ms
      FROM coverage c JOIN stay s ON s.camera = c.camera AND s.entered_at < c.until AND s.exited_at > c.since
     GROUP BY 1, 2, 3
), zones AS (
    SELECT camera, bucket_start, jsonb_object_agg(zone, jsonb_build_object(
               'visits', COALESCE(d.visits, 0), 'cut', COALESCE(d.cut, 0), 'dwell_mean_ms', d.mean,
               'dwell_p50_ms', d.percentiles[1], 'dwell_p90_ms', d.percentiles[2], 'dwell_p95_ms', d.percentiles[3],
               'dwell_longest_ms', d.longest, 'peak_occupancy', COALESCE(p.people, 0),
               'mean_occupancy', round(COALESCE(m.person_ms, 0) / c.ms, 6)::double precision)) AS by_zone
      FROM dwelt d
      FULL JOIN zone_mean m USING (camera, bucket_start, zone)
      LEFT JOIN zone_peak p USING (camera, bucket_start, zone)
      JOIN covered_ms c USING (camera, bucket_start)
     GROUP BY 1, 2
), present AS (
    SELECT s.camera, b.bucket_start, t.video_id, t.track_id
      FROM seen s
      JOIN tracks t ON t.video_id = s.session_id
      JOIN bucket b ON t.started_at < b.bucket_end AND t.ended_at >= b.bucket_start
     CROSS JOIN span
     -- A track lies in its video: for the index.
     WHERE t.ended_at >= day_start AND t.ended_at < day_end + interval '25 hours'
), people AS (
    -- A person whose track goes on from another in the same bucket is counted with that one.
    SELECT p.camera, p.bucket_start,
           count(*) AS unique_total,
           count(*) FILTER (WHERE g.gender = 1) AS unique_male,
           count(*) FILTER (WHERE g.gender = 2) AS unique_female
      FROM present p
      LEFT JOIN track_genders g USING (video_id, track_id)
     WHERE NOT EXISTS (
           SELECT FROM track_links l
             JOIN present before ON before.video_id = l.previous_video_id AND before.track_id = l.previous_track_id
            WHERE l.video_id = p.video_id AND l.track_id = p.track_id AND before.bucket_start = p.bucket_start)
     GROUP BY 1, 2
)
SELECT camera, bucket_start,
       COALESCE(entered, 0)::int AS entered, COALESCE(exited, 0)::int AS exited,
       COALESCE(unique_total, 0)::int AS unique_total, COALESCE(unique_male, 0)::int AS unique_male,
       COALESCE(unique_female, 0)::int AS unique_female,
       (COALESCE(unique_total, 0) - COALESCE(unique_male, 0) - COALESCE(unique_female, 0))::int AS unique_unknown,
       COALESCE(peak.people, 0)::int AS peak_occupancy,
       round(COALESCE(mean.person_ms, 0) / covered_ms.ms, 6)::double precision AS mean_occupancy,
       COALESCE(correction.people, 0)::int AS occupancy_correction,
       round(covered_ms.ms)::bigint AS coverage_ms,
       COALESCE(by_line, '{}') AS by_line, COALESCE(by_zone, '{}') AS by_zone
  FROM covered_ms
  LEFT JOIN movements USING (camera, bucket_start)
  LEFT JOIN people USING (camera, bucket_start)
  LEFT JOIN peak USING (camera, bucket_start)
  LEFT JOIN mean USING (camera, bucket_start)
  LEFT JOIN correction USING (camera, bucket_start)
  LEFT JOIN zones USING (camera, bucket_start)
