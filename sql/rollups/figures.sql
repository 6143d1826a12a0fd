-- The figures of each camera in each bucket of time, from sessions, tracks, movements and stays; never from detections.
-- Takes: cameras text[] (null: all); starts timestamptz[]: where the buckets begin, in order, the first at a local midnight,
-- from which occupancy is counted anew; day_start and day_end: where the first begins and the last ends; day_before: the
-- local midnight before. Gives a row for every bucket a camera has video in; a bucket is its place in `starts`, from 1.
--
-- The day is a small part of the history: what belongs to its videos is looked up video by video (LATERAL with OFFSET 0),
-- whatever the planner thinks of reading whole tables. Cameras and places are numbers here, which sort faster than names.
WITH site_camera AS MATERIALIZED (
    SELECT camera, row_number() OVER () AS c FROM cameras
     WHERE %(cameras)s::text[] IS NULL OR camera = ANY (%(cameras)s::text[])
), recent AS MATERIALIZED (
    SELECT s.session_id AS video_id, c, s.started_at, s.ended_at FROM sessions s JOIN site_camera USING (camera)
     WHERE (%(cameras)s::text[] IS NULL OR camera = ANY (%(cameras)s::text[])) AND s.status = 'completed'
       -- No video is longer than a day: the bound lets the index find the few sessions that can matter.
       AND s.started_at < %(day_end)s AND s.started_at >= least(%(day_start)s - interval '25 hours', %(day_before)s)
), seen AS MATERIALIZED (
    SELECT * FROM recent WHERE started_at > %(day_start)s - interval '25 hours' AND ended_at > %(day_start)s
), moved AS MATERIALIZED (
    SELECT c, m.ts, m.line, CASE m.direction WHEN 'in' THEN 1 ELSE -1 END AS people
      FROM people_movements m JOIN seen USING (video_id)
     WHERE (%(cameras)s::text[] IS NULL OR m.camera = ANY (%(cameras)s::text[]))
       AND m.ts >= %(day_start)s AND m.ts < %(day_end)s
), stay AS MATERIALIZED (
    -- A stay belongs to its video. These hours hang on this day's videos and the day before's: on no other's stays.
    SELECT c, z.zone, z.entered_at, z.exited_at, z.dwell_ms, z.entered_seen AND z.exited_seen AS is_whole,
           dense_rank() OVER (ORDER BY c, z.zone) AS place
      FROM zone_visits z JOIN recent s USING (video_id)
     WHERE (%(cameras)s::text[] IS NULL OR z.camera = ANY (%(cameras)s::text[])) AND s.started_at >= %(day_before)s
       AND z.entered_at < %(day_end)s AND z.entered_at >= %(day_before)s AND z.exited_at >= %(day_start)s
), place AS MATERIALIZED (
    -- Where people are counted: inside the lines of each camera (numbered below nought, zone null) and in each zone.
    SELECT DISTINCT c, NULL AS zone, -c AS place FROM seen UNION ALL SELECT DISTINCT c, zone, place FROM stay
), event (place, ts, turn, people, videos) AS (
    -- Each changes the number of people, or the number of videos that cover the moment, or begins a bucket. `turn` is the
    -- order at one instant: whoever comes in comes before whoever leaves, so that nobody is added below who need not be.
    SELECT -c, ts, CASE people WHEN 1 THEN 1 ELSE 2 END, people, 0 FROM moved
    UNION ALL SELECT place, entered_at, 1, 1, 0 FROM stay
    UNION ALL SELECT place, exited_at, 2, -1, 0 FROM stay
    UNION ALL SELECT place, started_at, 0, 0, 1 FROM seen JOIN place USING (c)
    UNION ALL SELECT place, ended_at, 0, 0, -1 FROM seen JOIN place USING (c)
    UNION ALL SELECT place, ts, 0, 0, 0 FROM place, unnest(%(starts)s::timestamptz[] || %(day_end)s::timestamptz) AS ts
), level AS (
    SELECT place, ts, turn, sum(people) OVER in_order AS level, sum(videos) OVER in_order > 0 AS is_covered,
           (date_part('epoch', lead(ts) OVER in_order - ts) * 1000000)::bigint AS us
      FROM event WINDOW in_order AS (PARTITION BY place ORDER BY ts, turn ROWS UNBOUNDED PRECEDING)
), step AS (
    -- Whoever leaves an empty room was inside before: the level is lifted so that it never falls below nought.
    SELECT place, ts, is_covered, us, level, -least(0, min(level) OVER in_order) AS added
      FROM level WINDOW in_order AS (PARTITION BY place ORDER BY ts, turn ROWS UNBOUNDED PRECEDING)
), inside AS (
    -- Each bucket begins with a step of what was before, so every step lies in one bucket.
    SELECT place, width_bucket(ts, %(starts)s::timestamptz[]) AS bucket,
           max(level + added) FILTER (WHERE us > 0) AS peak, max(added) - min(added) AS added,
           sum(us) FILTER (WHERE is_covered) AS covered_us, sum(us * (level + added)) FILTER (WHERE is_covered) AS person_us
      FROM step
     WHERE ts >= %(day_start)s AND ts < %(day_end)s
     GROUP BY 1, 2
), dwelt AS (
    -- A stay is of the bucket in which it begins, whole.
    SELECT place, width_bucket(entered_at, %(starts)s::timestamptz[]) AS bucket,
           count(*) AS visits, count(*) FILTER (WHERE NOT is_whole) AS cut,
           round(avg(dwell_ms))::bigint AS mean, max(dwell_ms) AS longest,
           percentile_disc(ARRAY[0.5, 0.9, 0.95]) WITHIN GROUP (ORDER BY dwell_ms) AS percentiles
      FROM stay WHERE entered_at >= %(day_start)s GROUP BY 1, 2
), covered AS (
    SELECT p.c, i.bucket, max(i.peak) FILTER (WHERE zone IS NULL) AS peak, max(i.added) FILTER (WHERE zone IS NULL) AS added,
           max(i.covered_us) AS covered_us, max(i.person_us) FILTER (WHERE zone IS NULL) AS person_us,
           jsonb_object_agg(zone, jsonb_build_object(
               'visits', COALESCE(d.visits, 0), 'cut', COALESCE(d.cut, 0), 'dwell_mean_ms', d.mean,
               'dwell_p50_ms', d.percentiles[1], 'dwell_p90_ms', d.percentiles[2], 'dwell_p95_ms', d.percentiles[3],
               'dwell_longest_ms', d.longest, 'peak_occupancy', COALESCE(i.peak, 0),
               'mean_occupancy', round(i.person_us / i.covered_us, 6)::double precision))
               FILTER (WHERE zone IS NOT NULL AND (i.person_us > 0 OR d.visits > 0)) AS by_zone
      FROM inside i JOIN place p USING (place) LEFT JOIN dwelt d USING (place, bucket)
     WHERE i.covered_us > 0
     GROUP BY 1, 2
), crossed AS (
    SELECT c, width_bucket(ts, %(starts)s::timestamptz[]) AS bucket, line,
           count(*) FILTER (WHERE people = 1) AS entered, count(*) FILTER (WHERE people = -1) AS exited
      FROM moved GROUP BY 1, 2, 3
), movements AS (
    SELECT c, bucket, sum(entered) AS entered, sum(exited) AS exited,
           jsonb_object_agg(line, jsonb_build_object('in', entered, 'out', exited)) AS by_line
      FROM crossed GROUP BY 1, 2
), gender AS (
    SELECT s.video_id, g.track_id, g.gender FROM seen s
     CROSS JOIN LATERAL (SELECT track_id, gender FROM track_genders t WHERE t.video_id = s.video_id OFFSET 0) AS g
), link AS (
    SELECT s.video_id, l.track_id, l.previous_video_id, l.previous_track_id FROM seen s
     CROSS JOIN LATERAL (SELECT * FROM track_links t WHERE t.video_id = s.video_id OFFSET 0) AS l
), track AS MATERIALIZED (
    SELECT s.c, s.video_id, t.track_id, t.started_at >= %(day_start)s AS begins, width_bucket(t.ended_at, %(starts)s::timestamptz[]) AS last,
           width_bucket(greatest(t.started_at, %(day_start)s), %(starts)s::timestamptz[]) AS first
      FROM seen s CROSS JOIN LATERAL (
           SELECT track_id, started_at, ended_at FROM tracks t WHERE t.video_id = s.video_id OFFSET 0) AS t
     WHERE t.started_at < %(day_end)s AND t.ended_at >= %(day_start)s
), present AS (
    SELECT t.c, g.gender, generate_series(t.first, t.last) AS bucket, b.first AS first_before, b.last AS last_before,
           CASE WHEN t.begins AND l.track_id IS NULL THEN t.first END AS first_ever
      FROM track t
      LEFT JOIN gender g USING (video_id, track_id)
      LEFT JOIN link l USING (video_id, track_id)
      LEFT JOIN track b ON b.video_id = l.previous_video_id AND b.track_id = l.previous_track_id
), people AS (
    -- A person whose track goes on from another in the same bucket is counted with that one.
    SELECT c, bucket, count(*) AS unique_total, count(*) FILTER (WHERE gender = 1) AS unique_male,
           count(*) FILTER (WHERE gender = 2) AS unique_female, count(*) FILTER (WHERE bucket = first_ever) AS new_total,
           count(*) FILTER (WHERE bucket = first_ever AND gender = 1) AS new_male,
           count(*) FILTER (WHERE bucket = first_ever AND gender = 2) AS new_female
      FROM present
     WHERE (bucket BETWEEN first_before AND last_before) IS NOT TRUE
     GROUP BY 1, 2
)
SELECT camera, bucket,
       COALESCE(entered, 0)::int AS entered, COALESCE(exited, 0)::int AS exited,
       COALESCE(unique_total, 0)::int AS unique_total, COALESCE(unique_male, 0)::int AS unique_male,
       COALESCE(unique_female, 0)::int AS unique_female,
       (COALESCE(unique_total, 0) - COALESCE(unique_male, 0) - COALESCE(unique_female, 0))::int AS unique_unknown,
       COALESCE(new_total, 0)::int AS new_total, COALESCE(new_male, 0)::int AS new_male,
       COALESCE(new_female, 0)::int AS new_female, COALESCE(peak, 0)::int AS peak_occupancy,
       round(person_us / covered_us, 6)::double precision AS mean_occupancy,
       added::int AS occupancy_correction, round(covered_us / 1000)::bigint AS coverage_ms,
       COALESCE(by_line, '{}') AS by_line, COALESCE(by_zone, '{}') AS by_zone
  FROM covered JOIN site_camera USING (c)
  LEFT JOIN movements USING (c, bucket)
  LEFT JOIN people USING (c, bucket)
