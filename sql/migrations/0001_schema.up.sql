-- The tables. Times are timestamptz (UTC inside); `date` columns are days of the site's own time zone.
-- Result tables hold no clock and no run id: a recount gives equal rows, which `pc db digest` shows.

CREATE TABLE site (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    timezone text NOT NULL,
    history_from date NOT NULL,
    name_patterns text[] NOT NULL DEFAULT '{}',
    config jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE site IS 'The one site: what `pc config apply` wrote last. At most one row.';
COMMENT ON COLUMN site.singleton IS 'Always true, so that there is one row.';
COMMENT ON COLUMN site.timezone IS 'IANA time zone whose hours and days the counts are in, such as Europe/London.';
COMMENT ON COLUMN site.history_from IS 'The first day that has partitions (local).';
COMMENT ON COLUMN site.name_patterns IS 'Patterns that tell camera and start from a file''s name, in the order tried.';
COMMENT ON COLUMN site.config IS 'The whole site file as JSON.';

CREATE TABLE cameras (
    camera text PRIMARY KEY CHECK (camera ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    location text,
    zone text,
    config jsonb NOT NULL DEFAULT '{}',
    tags text[] NOT NULL DEFAULT '{}',
    active boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE cameras IS 'The cameras of the site, one row each, from the site file (or registered by `pc process`).';
COMMENT ON COLUMN cameras.camera IS 'The camera''s name: letters, digits, dot, underscore and dash.';
COMMENT ON COLUMN cameras.location IS 'Where it hangs, in words.';
COMMENT ON COLUMN cameras.zone IS 'Which part of the site it belongs to, in words (not a polygon: those are in `zones`).';
COMMENT ON COLUMN cameras.config IS 'Its effective detector, tracker, gender and counting settings.';
COMMENT ON COLUMN cameras.tags IS 'Free labels.';
COMMENT ON COLUMN cameras.active IS 'False: new files of it are not counted; what was counted stays.';

CREATE TABLE zones (
    camera text NOT NULL REFERENCES cameras ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('line', 'zone')),
    name text NOT NULL,
    valid_from timestamptz NOT NULL DEFAULT '-infinity',
    points double precision[] NOT NULL,
    in_side text CHECK (in_side IN ('right', 'left', 'up', 'down')),
    PRIMARY KEY (camera, kind, name, valid_from),
    CHECK ((kind = 'line') = (in_side IS NOT NULL)),
    CHECK (CASE kind WHEN 'line' THEN cardinality(points) = 4 ELSE cardinality(points) >= 6 END),
    CHECK (cardinality(points) % 2 = 0 AND 0 <= ALL (points) AND 1 >= ALL (points))
);
COMMENT ON TABLE zones IS 'Counting lines and polygons of each camera, with their versions.';
COMMENT ON COLUMN zones.camera IS 'The camera whose picture they are drawn in.';
COMMENT ON COLUMN zones.kind IS 'line: crossings are counted; zone: visits of a polygon are timed.';
COMMENT ON COLUMN zones.name IS 'The line''s or polygon''s name.';
COMMENT ON COLUMN zones.valid_from IS 'Videos that start at or after this use this version; -infinity: all time.';
COMMENT ON COLUMN zones.points IS 'x, y, x, y, … from the top left, as shares (0..1) of the picture''s width and height.';
COMMENT ON COLUMN zones.in_side IS 'The side of the picture one moves towards when going in; lines only.';

CREATE TABLE videos (
    video_id bigint PRIMARY KEY CHECK (video_id > 0),
    camera text NOT NULL REFERENCES cameras,
    started_at timestamptz NOT NULL,
    date date NOT NULL,
    path text NOT NULL,
    content_hash text NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    mtime_ns bigint NOT NULL,
    width int NOT NULL CHECK (width > 0),
    height int NOT NULL CHECK (height > 0),
    nominal_fps double precision NOT NULL,
    codec text NOT NULL,
    container text NOT NULL,
    rotation smallint NOT NULL DEFAULT 0 CHECK (rotation IN (0, 90, 180, 270)),
    status text NOT NULL DEFAULT 'present' CHECK (status IN ('present', 'source deleted')),
    UNIQUE (camera, started_at)
);
CREATE INDEX ON videos (camera, content_hash);
CREATE INDEX ON videos (camera, date);
COMMENT ON TABLE videos IS 'Video files that count: what a camera recorded from one instant.';
COMMENT ON COLUMN videos.video_id IS '63 bits of a hash of (camera, start in UTC): the same in any order of arrival.';
COMMENT ON COLUMN videos.camera IS 'The camera that recorded it.';
COMMENT ON COLUMN videos.started_at IS 'The time of its first frame, from the file''s name or the command line.';
COMMENT ON COLUMN videos.date IS 'The local day in which it starts: its camera-day.';
COMMENT ON COLUMN videos.path IS 'Where the file is: absolute, or relative to the watched folder.';
COMMENT ON COLUMN videos.content_hash IS 'SHA-256 (hex) of the file''s bytes.';
COMMENT ON COLUMN videos.size_bytes IS 'The file''s size in bytes.';
COMMENT ON COLUMN videos.mtime_ns IS 'The file''s modification time, nanoseconds since 1970.';
COMMENT ON COLUMN videos.width IS 'Width of the upright picture in pixels.';
COMMENT ON COLUMN videos.height IS 'Height of the upright picture in pixels.';
COMMENT ON COLUMN videos.nominal_fps IS 'Frames per second the file declares; no time is ever computed from it.';
COMMENT ON COLUMN videos.codec IS 'Four-letter code of the video codec, in lower case.';
COMMENT ON COLUMN videos.container IS 'The file''s container format.';
COMMENT ON COLUMN videos.rotation IS 'Degrees the file says its frames must be turned to stand upright.';
COMMENT ON COLUMN videos.status IS 'present, or source deleted: the file is gone; results stay.';

CREATE TABLE source_files (
    path text PRIMARY KEY,
    camera text,
    started_at timestamptz,
    date date,
    size_bytes bigint,
    mtime_ns bigint,
    content_hash text,
    video_id bigint REFERENCES videos ON DELETE SET NULL,
    status text NOT NULL CHECK (status IN ('registered', 'quarantined', 'duplicate', 'missing')),
    reason text,
    given boolean NOT NULL DEFAULT false
);
CREATE INDEX ON source_files (video_id);
CREATE INDEX ON source_files (camera, date);
CREATE INDEX ON source_files (camera, content_hash);
COMMENT ON TABLE source_files IS 'Every file seen, counted or not, with the reason why not.';
COMMENT ON COLUMN source_files.path IS 'The file as given: absolute, or relative to the watched folder.';
COMMENT ON COLUMN source_files.camera IS 'The camera its name tells, known to the site or not; null: the name tells none.';
COMMENT ON COLUMN source_files.started_at IS 'The start its name tells; null: the name tells none.';
COMMENT ON COLUMN source_files.date IS 'The local day of that start.';
COMMENT ON COLUMN source_files.size_bytes IS 'Its size in bytes when it was last looked at.';
COMMENT ON COLUMN source_files.mtime_ns IS 'Its modification time then, nanoseconds since 1970.';
COMMENT ON COLUMN source_files.content_hash IS 'SHA-256 (hex) of its bytes; null: never read whole.';
COMMENT ON COLUMN source_files.video_id IS 'The video it counts as, or is a duplicate of.';
COMMENT ON COLUMN source_files.status IS 'registered (counted), quarantined (see reason), duplicate, or missing (gone since).';
COMMENT ON COLUMN source_files.reason IS 'Why it is not counted, in one sentence.';
COMMENT ON COLUMN source_files.given IS 'True: camera and start were given on the command line, not read from the name.';

CREATE TABLE ai_models (
    sha256 text PRIMARY KEY,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('detector', 'gender')),
    backend text NOT NULL,
    files text[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE ai_models IS 'The models that made results, by the hash of their files.';
COMMENT ON COLUMN ai_models.sha256 IS 'SHA-256 (hex) over the model''s files.';
COMMENT ON COLUMN ai_models.name IS 'Its name in the configuration, such as yolo11n.';
COMMENT ON COLUMN ai_models.kind IS 'detector or gender.';
COMMENT ON COLUMN ai_models.backend IS 'What runs it: openvino, ultralytics or hog.';
COMMENT ON COLUMN ai_models.files IS 'Names of its files.';

CREATE TABLE sessions (
    session_id bigint PRIMARY KEY,
    video_id bigint NOT NULL UNIQUE REFERENCES videos ON DELETE CASCADE CHECK (video_id = session_id),
    camera text NOT NULL REFERENCES cameras,
    name text NOT NULL,
    input_source text NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'completed', 'error', 'cancelled')),
    confidence_threshold real NOT NULL CHECK (confidence_threshold BETWEEN 0 AND 1),
    sample_every_s double precision NOT NULL CHECK (sample_every_s >= 0),
    fps double precision NOT NULL CHECK (fps >= 0),
    frames int NOT NULL CHECK (frames >= 0),
    frames_sampled int NOT NULL CHECK (frames_sampled BETWEEN 0 AND frames),
    width int NOT NULL CHECK (width > 0),
    height int NOT NULL CHECK (height > 0),
    started_at timestamptz NOT NULL,
    ended_at timestamptz CHECK (ended_at >= started_at),
    model_sha256 text NOT NULL REFERENCES ai_models,
    warnings text[] NOT NULL DEFAULT '{}'
);
CREATE INDEX ON sessions (camera, started_at);
CREATE INDEX ON sessions (started_at);
COMMENT ON TABLE sessions IS 'One video counted under one configuration; a recount replaces it.';
COMMENT ON COLUMN sessions.session_id IS 'The video''s id: one session a video.';
COMMENT ON COLUMN sessions.video_id IS 'The video.';
COMMENT ON COLUMN sessions.camera IS 'The video''s camera.';
COMMENT ON COLUMN sessions.name IS 'A name for people.';
COMMENT ON COLUMN sessions.input_source IS 'The video''s file name.';
COMMENT ON COLUMN sessions.status IS 'active (being counted), completed, error or cancelled.';
COMMENT ON COLUMN sessions.confidence_threshold IS 'Boxes below this confidence (0..1) were not kept.';
COMMENT ON COLUMN sessions.sample_every_s IS 'Seconds between the frames looked at; 0: every frame.';
COMMENT ON COLUMN sessions.fps IS 'Frames per second as decoded (not as declared).';
COMMENT ON COLUMN sessions.frames IS 'Frames that could be decoded.';
COMMENT ON COLUMN sessions.frames_sampled IS 'Frames the detector looked at.';
COMMENT ON COLUMN sessions.width IS 'Width of the upright picture in pixels.';
COMMENT ON COLUMN sessions.height IS 'Height of the upright picture in pixels.';
COMMENT ON COLUMN sessions.started_at IS 'Time of the video''s first frame.';
COMMENT ON COLUMN sessions.ended_at IS 'Where decoding ended: the last frame''s time and one frame more.';
COMMENT ON COLUMN sessions.model_sha256 IS 'The detector that found the boxes.';
COMMENT ON COLUMN sessions.warnings IS 'What was odd about the video, in sentences.';

CREATE TABLE stage_ledger (
    video_id bigint NOT NULL REFERENCES videos ON DELETE CASCADE,
    stage text NOT NULL,
    fingerprint text NOT NULL,
    status text NOT NULL CHECK (status IN ('done', 'quarantined', 'expired', 'source deleted')),
    reason text,
    rows bigint NOT NULL DEFAULT 0 CHECK (rows >= 0),
    details jsonb NOT NULL DEFAULT '{}',
    code_version text NOT NULL,
    run_id text,
    finished_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (video_id, stage)
);
COMMENT ON TABLE stage_ledger IS 'What has been computed for each video, and from what; written with the rows it speaks of.';
COMMENT ON COLUMN stage_ledger.video_id IS 'The video.';
COMMENT ON COLUMN stage_ledger.stage IS 'The stage of the way: raw_detections, tracks, people_movements, …';
COMMENT ON COLUMN stage_ledger.fingerprint IS 'Hash of all that went in: content, upstream fingerprint, model, configuration, code.';
COMMENT ON COLUMN stage_ledger.status IS 'done, quarantined (see reason), expired (retention) or source deleted.';
COMMENT ON COLUMN stage_ledger.reason IS 'Why the stage is not done, in one sentence.';
COMMENT ON COLUMN stage_ledger.rows IS 'Rows the stage wrote.';
COMMENT ON COLUMN stage_ledger.details IS 'What else the stage reports, such as warnings and timings.';
COMMENT ON COLUMN stage_ledger.code_version IS 'Version of the stage''s code.';
COMMENT ON COLUMN stage_ledger.run_id IS 'The Dagster run that did it.';
COMMENT ON COLUMN stage_ledger.finished_at IS 'When it was done.';

CREATE TABLE detections (
    video_id bigint NOT NULL,
    ts timestamptz NOT NULL,
    frame_number int NOT NULL,
    track_id int NOT NULL DEFAULT 0,
    x1 real NOT NULL,
    y1 real NOT NULL,
    x2 real NOT NULL,
    y2 real NOT NULL,
    confidence real NOT NULL,
    detection_index smallint NOT NULL,
    class_id smallint NOT NULL,
    PRIMARY KEY (video_id, frame_number, detection_index, ts),
    CHECK (x2 >= x1 AND y2 >= y1),
    CHECK (confidence BETWEEN 0 AND 1)
) PARTITION BY RANGE (ts);
CREATE INDEX ON detections USING brin (ts);
COMMENT ON TABLE detections IS 'Boxes in frames, in monthly partitions (UTC) detections_YYYY_MM. No foreign keys, for the load''s sake.';
COMMENT ON COLUMN detections.video_id IS 'The video.';
COMMENT ON COLUMN detections.ts IS 'The frame''s time: the video''s start and the container''s time stamp.';
COMMENT ON COLUMN detections.frame_number IS 'The frame''s place in the file, from 0.';
COMMENT ON COLUMN detections.track_id IS 'The track that took the box; 0: none.';
COMMENT ON COLUMN detections.x1 IS 'Left edge, pixels of the upright picture.';
COMMENT ON COLUMN detections.y1 IS 'Top edge, pixels of the upright picture.';
COMMENT ON COLUMN detections.x2 IS 'Right edge, pixels of the upright picture.';
COMMENT ON COLUMN detections.y2 IS 'Bottom edge, pixels of the upright picture.';
COMMENT ON COLUMN detections.confidence IS 'The detector''s confidence, 0..1.';
COMMENT ON COLUMN detections.detection_index IS 'The box''s place among the frame''s boxes, from 0.';
COMMENT ON COLUMN detections.class_id IS 'The detector''s class; 0: person.';

CREATE TABLE tracks (
    video_id bigint NOT NULL REFERENCES sessions (video_id) ON DELETE CASCADE,
    track_id int NOT NULL CHECK (track_id >= 1),
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL CHECK (ended_at >= started_at),
    detection_count int NOT NULL CHECK (detection_count >= 0),
    mean_confidence real NOT NULL CHECK (mean_confidence BETWEEN 0 AND 1),
    trajectory jsonb NOT NULL,
    PRIMARY KEY (video_id, track_id)
);
CREATE INDEX ON tracks (started_at);
CREATE INDEX ON tracks (ended_at);
COMMENT ON TABLE tracks IS 'One person while in view of one video.';
COMMENT ON COLUMN tracks.video_id IS 'The video.';
COMMENT ON COLUMN tracks.track_id IS 'Number within the video, from 1, in the order of first sighting.';
COMMENT ON COLUMN tracks.started_at IS 'Time of the first sighting.';
COMMENT ON COLUMN tracks.ended_at IS 'Time of the last sighting.';
COMMENT ON COLUMN tracks.detection_count IS 'Sightings that are detections (interpolated ones left out).';
COMMENT ON COLUMN tracks.mean_confidence IS 'Mean confidence of those, 0..1.';
COMMENT ON COLUMN tracks.trajectory IS 'Every sighting, in lists: frame; t_us, microseconds from the video''s start; box, x1 y1 x2 y2 in tenths of a pixel; confidence, thousandths; interpolated, places of the sightings that are interpolated.';

CREATE TABLE track_genders (
    video_id bigint NOT NULL,
    track_id int NOT NULL,
    gender smallint NOT NULL CHECK (gender IN (0, 1, 2)),
    log_odds real NOT NULL,
    crops smallint NOT NULL CHECK (crops >= 0),
    PRIMARY KEY (video_id, track_id),
    FOREIGN KEY (video_id, track_id) REFERENCES tracks ON DELETE CASCADE
);
COMMENT ON TABLE track_genders IS 'Apparent gender of each track, one row a track; unknown is an answer.';
COMMENT ON COLUMN track_genders.video_id IS 'The video.';
COMMENT ON COLUMN track_genders.track_id IS 'The track.';
COMMENT ON COLUMN track_genders.gender IS '0 unknown, 1 male, 2 female.';
COMMENT ON COLUMN track_genders.log_odds IS 'Mean log-odds (natural) of male over the crops looked at; 0: none.';
COMMENT ON COLUMN track_genders.crops IS 'Pictures of the person looked at.';

CREATE TABLE run_gender_summary (
    video_id bigint PRIMARY KEY REFERENCES sessions (video_id) ON DELETE CASCADE,
    unique_total int NOT NULL,
    unique_male int NOT NULL CHECK (unique_male >= 0),
    unique_female int NOT NULL CHECK (unique_female >= 0),
    unique_unknown int NOT NULL CHECK (unique_unknown >= 0),
    CHECK (unique_total = unique_male + unique_female + unique_unknown)
);
COMMENT ON TABLE run_gender_summary IS 'People of one video by apparent gender.';
COMMENT ON COLUMN run_gender_summary.video_id IS 'The video.';
COMMENT ON COLUMN run_gender_summary.unique_total IS 'Different people (tracks) seen.';
COMMENT ON COLUMN run_gender_summary.unique_male IS 'Of those, apparently male.';
COMMENT ON COLUMN run_gender_summary.unique_female IS 'Of those, apparently female.';
COMMENT ON COLUMN run_gender_summary.unique_unknown IS 'Of those, not told.';

CREATE TABLE track_links (
    video_id bigint NOT NULL,
    track_id int NOT NULL,
    previous_video_id bigint NOT NULL,
    previous_track_id int NOT NULL,
    PRIMARY KEY (video_id, track_id),
    UNIQUE (previous_video_id, previous_track_id),
    FOREIGN KEY (video_id, track_id) REFERENCES tracks ON DELETE CASCADE,
    FOREIGN KEY (previous_video_id, previous_track_id) REFERENCES tracks ON DELETE CASCADE,
    CHECK (video_id <> previous_video_id)
);
COMMENT ON TABLE track_links IS 'The same person at the end of one file and the start of the next.';
COMMENT ON COLUMN track_links.video_id IS 'The later video.';
COMMENT ON COLUMN track_links.track_id IS 'The track at its start.';
COMMENT ON COLUMN track_links.previous_video_id IS 'The earlier video.';
COMMENT ON COLUMN track_links.previous_track_id IS 'The track at its end.';

CREATE TABLE people_movements (
    video_id bigint NOT NULL,
    track_id int NOT NULL,
    line text NOT NULL,
    crossing smallint NOT NULL CHECK (crossing >= 1),
    direction text NOT NULL CHECK (direction IN ('in', 'out')),
    ts timestamptz NOT NULL,
    centroid_x real NOT NULL,
    centroid_y real NOT NULL,
    x1 real NOT NULL,
    y1 real NOT NULL,
    x2 real NOT NULL,
    y2 real NOT NULL,
    confidence real NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    frame_number int NOT NULL,
    camera text NOT NULL REFERENCES cameras,
    PRIMARY KEY (video_id, track_id, line, crossing),
    FOREIGN KEY (video_id, track_id) REFERENCES tracks ON DELETE CASCADE
);
CREATE INDEX ON people_movements (camera, ts);
CREATE INDEX ON people_movements (ts);
COMMENT ON TABLE people_movements IS 'Line crossings: every settled change of sides through a line, by one person.';
COMMENT ON COLUMN people_movements.video_id IS 'The video in which it happens.';
COMMENT ON COLUMN people_movements.track_id IS 'The track that crosses.';
COMMENT ON COLUMN people_movements.crossing IS 'Numbers a track''s crossings of one line within the video, from 1 in order of time.';
COMMENT ON COLUMN people_movements.line IS 'The line''s name.';
COMMENT ON COLUMN people_movements.direction IS 'in or out.';
COMMENT ON COLUMN people_movements.ts IS 'When the line is crossed (interpolated between two sightings).';
COMMENT ON COLUMN people_movements.centroid_x IS 'Middle of the box, pixels from the left.';
COMMENT ON COLUMN people_movements.centroid_y IS 'Middle of the box, pixels from the top.';
COMMENT ON COLUMN people_movements.x1 IS 'Left edge of the box at the first sighting at or after it, pixels.';
COMMENT ON COLUMN people_movements.y1 IS 'Top edge, pixels.';
COMMENT ON COLUMN people_movements.x2 IS 'Right edge, pixels.';
COMMENT ON COLUMN people_movements.y2 IS 'Bottom edge, pixels.';
COMMENT ON COLUMN people_movements.confidence IS 'That sighting''s confidence, 0..1.';
COMMENT ON COLUMN people_movements.frame_number IS 'That sighting''s frame.';
COMMENT ON COLUMN people_movements.camera IS 'The video''s camera.';

CREATE TABLE zone_visits (
    video_id bigint NOT NULL,
    track_id int NOT NULL,
    zone text NOT NULL,
    visit int NOT NULL CHECK (visit >= 1),
    camera text NOT NULL REFERENCES cameras,
    entered_at timestamptz NOT NULL,
    exited_at timestamptz NOT NULL CHECK (exited_at >= entered_at),
    dwell_ms bigint NOT NULL GENERATED ALWAYS AS (round(extract(epoch FROM exited_at - entered_at) * 1000)::bigint) STORED,
    PRIMARY KEY (video_id, track_id, zone, visit),
    FOREIGN KEY (video_id, track_id) REFERENCES tracks ON DELETE CASCADE
);
CREATE INDEX ON zone_visits (camera, entered_at);
COMMENT ON TABLE zone_visits IS 'Stays of a person inside a polygon.';
COMMENT ON COLUMN zone_visits.video_id IS 'The video in which the stay begins.';
COMMENT ON COLUMN zone_visits.track_id IS 'The track.';
COMMENT ON COLUMN zone_visits.zone IS 'The polygon''s name.';
COMMENT ON COLUMN zone_visits.visit IS 'Which stay of this track in this polygon, from 1.';
COMMENT ON COLUMN zone_visits.camera IS 'The video''s camera.';
COMMENT ON COLUMN zone_visits.entered_at IS 'When it begins.';
COMMENT ON COLUMN zone_visits.exited_at IS 'When it ends.';
COMMENT ON COLUMN zone_visits.dwell_ms IS 'How long it lasts, milliseconds (computed by the database).';

CREATE TABLE session_statistics (
    session_id bigint PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
    camera text NOT NULL REFERENCES cameras,
    entered int NOT NULL CHECK (entered >= 0),
    exited int NOT NULL CHECK (exited >= 0),
    unique_total int NOT NULL,
    unique_male int NOT NULL CHECK (unique_male >= 0),
    unique_female int NOT NULL CHECK (unique_female >= 0),
    unique_unknown int NOT NULL CHECK (unique_unknown >= 0),
    peak_occupancy int NOT NULL CHECK (peak_occupancy >= 0),
    mean_occupancy double precision NOT NULL CHECK (mean_occupancy >= 0),
    coverage_ms bigint NOT NULL CHECK (coverage_ms >= 0),
    by_line jsonb NOT NULL DEFAULT '{}',
    CHECK (unique_total = unique_male + unique_female + unique_unknown)
);
CREATE INDEX ON session_statistics (camera);
COMMENT ON TABLE session_statistics IS 'Counts of one session (one video).';
COMMENT ON COLUMN session_statistics.session_id IS 'The session.';
COMMENT ON COLUMN session_statistics.camera IS 'Its camera.';
COMMENT ON COLUMN session_statistics.entered IS 'Crossings in, over all lines.';
COMMENT ON COLUMN session_statistics.exited IS 'Crossings out, over all lines.';
COMMENT ON COLUMN session_statistics.unique_total IS 'Different people who were in view.';
COMMENT ON COLUMN session_statistics.unique_male IS 'Of those, apparently male.';
COMMENT ON COLUMN session_statistics.unique_female IS 'Of those, apparently female.';
COMMENT ON COLUMN session_statistics.unique_unknown IS 'Of those, not told.';
COMMENT ON COLUMN session_statistics.peak_occupancy IS 'Most people inside at once (drift-corrected) in the session.';
COMMENT ON COLUMN session_statistics.mean_occupancy IS 'People inside on average over the time covered by video.';
COMMENT ON COLUMN session_statistics.coverage_ms IS 'Milliseconds of the session covered by video: 0 means no video, not that nobody came.';
COMMENT ON COLUMN session_statistics.by_line IS 'Crossings of each line: {"door": {"in": 1, "out": 2}}.';

CREATE TABLE hourly_statistics (
    camera text NOT NULL REFERENCES cameras,
    hour_start timestamptz NOT NULL,
    date date NOT NULL,
    entered int NOT NULL CHECK (entered >= 0),
    exited int NOT NULL CHECK (exited >= 0),
    unique_total int NOT NULL,
    unique_male int NOT NULL CHECK (unique_male >= 0),
    unique_female int NOT NULL CHECK (unique_female >= 0),
    unique_unknown int NOT NULL CHECK (unique_unknown >= 0),
    peak_occupancy int NOT NULL CHECK (peak_occupancy >= 0),
    mean_occupancy double precision NOT NULL CHECK (mean_occupancy >= 0),
    coverage_ms bigint NOT NULL CHECK (coverage_ms >= 0),
    by_line jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (camera, hour_start),
    CHECK (unique_total = unique_male + unique_female + unique_unknown)
);
CREATE INDEX ON hourly_statistics (camera, date);
CREATE INDEX ON hourly_statistics (date);
COMMENT ON TABLE hourly_statistics IS 'Counts of one camera and local hour.';
COMMENT ON COLUMN hourly_statistics.camera IS 'The camera.';
COMMENT ON COLUMN hourly_statistics.hour_start IS 'When the hour begins.';
COMMENT ON COLUMN hourly_statistics.date IS 'The local day it belongs to.';
COMMENT ON COLUMN hourly_statistics.entered IS 'Crossings in, over all lines.';
COMMENT ON COLUMN hourly_statistics.exited IS 'Crossings out, over all lines.';
COMMENT ON COLUMN hourly_statistics.unique_total IS 'Different people who were in view (an hours uniques do not add up to a days).';
COMMENT ON COLUMN hourly_statistics.unique_male IS 'Of those, apparently male.';
COMMENT ON COLUMN hourly_statistics.unique_female IS 'Of those, apparently female.';
COMMENT ON COLUMN hourly_statistics.unique_unknown IS 'Of those, not told.';
COMMENT ON COLUMN hourly_statistics.peak_occupancy IS 'Most people inside at once (drift-corrected) in the hour.';
COMMENT ON COLUMN hourly_statistics.mean_occupancy IS 'People inside on average over the time covered by video.';
COMMENT ON COLUMN hourly_statistics.coverage_ms IS 'Milliseconds of the hour covered by video: 0 means no video, not that nobody came.';
COMMENT ON COLUMN hourly_statistics.by_line IS 'Crossings of each line: {"door": {"in": 1, "out": 2}}.';

CREATE TABLE daily_statistics (
    camera text NOT NULL REFERENCES cameras,
    date date NOT NULL,
    entered int NOT NULL CHECK (entered >= 0),
    exited int NOT NULL CHECK (exited >= 0),
    unique_total int NOT NULL,
    unique_male int NOT NULL CHECK (unique_male >= 0),
    unique_female int NOT NULL CHECK (unique_female >= 0),
    unique_unknown int NOT NULL CHECK (unique_unknown >= 0),
    peak_occupancy int NOT NULL CHECK (peak_occupancy >= 0),
    mean_occupancy double precision NOT NULL CHECK (mean_occupancy >= 0),
    coverage_ms bigint NOT NULL CHECK (coverage_ms >= 0),
    by_line jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (camera, date),
    CHECK (unique_total = unique_male + unique_female + unique_unknown)
);
CREATE INDEX ON daily_statistics (date);
COMMENT ON TABLE daily_statistics IS 'Counts of one camera and local day.';
COMMENT ON COLUMN daily_statistics.camera IS 'The camera.';
COMMENT ON COLUMN daily_statistics.date IS 'The local day (of 23, 24 or 25 hours).';
COMMENT ON COLUMN daily_statistics.entered IS 'Crossings in, over all lines.';
COMMENT ON COLUMN daily_statistics.exited IS 'Crossings out, over all lines.';
COMMENT ON COLUMN daily_statistics.unique_total IS 'Different people who were in view, counted over the whole day.';
COMMENT ON COLUMN daily_statistics.unique_male IS 'Of those, apparently male.';
COMMENT ON COLUMN daily_statistics.unique_female IS 'Of those, apparently female.';
COMMENT ON COLUMN daily_statistics.unique_unknown IS 'Of those, not told.';
COMMENT ON COLUMN daily_statistics.peak_occupancy IS 'Most people inside at once (drift-corrected) in the day.';
COMMENT ON COLUMN daily_statistics.mean_occupancy IS 'People inside on average over the time covered by video.';
COMMENT ON COLUMN daily_statistics.coverage_ms IS 'Milliseconds of the day covered by video: 0 means no video, not that nobody came.';
COMMENT ON COLUMN daily_statistics.by_line IS 'Crossings of each line: {"door": {"in": 1, "out": 2}}.';
