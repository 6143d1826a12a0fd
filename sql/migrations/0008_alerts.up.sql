-- Alerts: what is watched, what was found, and what was said of it to whom. And the site's operating settings.

CREATE TABLE system_config (
    key text PRIMARY KEY,
    value jsonb NOT NULL,
    description text NOT NULL
);
COMMENT ON TABLE system_config IS 'The site''s operating settings, as `pc config apply` wrote them last. They hold no password: only where it is.';
COMMENT ON COLUMN system_config.key IS 'The section of the site file, such as alerts.';
COMMENT ON COLUMN system_config.value IS 'Its settings, those it leaves out with their defaults.';
COMMENT ON COLUMN system_config.description IS 'What they are for.';

CREATE TABLE alert_thresholds (
    kind text NOT NULL CHECK (kind IN ('occupancy', 'nobody', 'coverage', 'unknown_share', 'check_failed', 'run_failed')),
    camera text NOT NULL DEFAULT '',
    subject text NOT NULL DEFAULT '',
    threshold double precision CHECK (threshold > 0),
    PRIMARY KEY (kind, camera, subject)
);
COMMENT ON TABLE alert_thresholds IS 'What is watched, from the site file: a row for each kind of alert and camera. What is switched off has none.';
COMMENT ON COLUMN alert_thresholds.kind IS 'occupancy, nobody, coverage, unknown_share, check_failed or run_failed.';
COMMENT ON COLUMN alert_thresholds.camera IS 'The camera; empty: the whole site.';
COMMENT ON COLUMN alert_thresholds.subject IS 'Of occupancy: the zone whose people are counted; empty: those inside by the lines.';
COMMENT ON COLUMN alert_thresholds.threshold IS 'occupancy: most people inside at once. nobody: people an hour usually has, at least. coverage: seconds of usual video that may be missing. Null: the limit comes from elsewhere, such as the camera''s own last weeks.';

CREATE TABLE alert_logs (
    alert_id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL CHECK (kind IN ('occupancy', 'nobody', 'coverage', 'unknown_share', 'check_failed', 'run_failed')),
    camera text NOT NULL DEFAULT '',
    subject text NOT NULL DEFAULT '',
    since timestamptz NOT NULL,
    ended_at timestamptz CHECK (ended_at >= since),
    value double precision,
    threshold double precision,
    title text NOT NULL,
    says text NOT NULL,
    advice text NOT NULL,
    times_seen int NOT NULL DEFAULT 1 CHECK (times_seen >= 1),
    opened_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    resolved_at timestamptz,
    resolution text,
    CHECK ((resolved_at IS NULL) = (ended_at IS NULL) AND (resolved_at IS NULL) = (resolution IS NULL))
);
-- Whatever evaluates at the same time: of one thing there is one open alert.
CREATE UNIQUE INDEX alert_logs_open ON alert_logs (kind, camera, subject) WHERE resolved_at IS NULL;
CREATE INDEX ON alert_logs (since);
CREATE INDEX ON alert_logs (resolved_at);
COMMENT ON TABLE alert_logs IS 'Every alert: opened once, brought up to date while it lasts, resolved by itself.';
COMMENT ON COLUMN alert_logs.alert_id IS 'Its number.';
COMMENT ON COLUMN alert_logs.kind IS 'occupancy, nobody, coverage, unknown_share, check_failed or run_failed.';
COMMENT ON COLUMN alert_logs.camera IS 'The camera; empty: the whole site.';
COMMENT ON COLUMN alert_logs.subject IS 'What of it: a zone, a check or a job; empty: the camera or site as such.';
COMMENT ON COLUMN alert_logs.since IS 'When it began, by the video''s clock where it is about counts.';
COMMENT ON COLUMN alert_logs.ended_at IS 'When it was over; null: it lasts.';
COMMENT ON COLUMN alert_logs.value IS 'The figure: people inside, people usual, seconds of video missing, share unknown, days or runs failed.';
COMMENT ON COLUMN alert_logs.threshold IS 'Its limit; null: none in numbers.';
COMMENT ON COLUMN alert_logs.title IS 'What and where, in a few words.';
COMMENT ON COLUMN alert_logs.says IS 'What, where, since when and against what limit, in a sentence.';
COMMENT ON COLUMN alert_logs.advice IS 'What to do.';
COMMENT ON COLUMN alert_logs.times_seen IS 'Evaluations that found it.';
COMMENT ON COLUMN alert_logs.opened_at IS 'The evaluation that found it first.';
COMMENT ON COLUMN alert_logs.last_seen_at IS 'The evaluation that found it last.';
COMMENT ON COLUMN alert_logs.resolved_at IS 'The evaluation that found it over; null: open.';
COMMENT ON COLUMN alert_logs.resolution IS 'Why it is over, in a sentence.';

CREATE TABLE alert_deliveries (
    alert_id bigint NOT NULL REFERENCES alert_logs ON DELETE CASCADE,
    event text NOT NULL CHECK (event IN ('opened', 'resolved')),
    channel text NOT NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'dropped')),
    attempts int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    error text,
    created_at timestamptz NOT NULL,
    delivered_at timestamptz,
    PRIMARY KEY (alert_id, event, channel),
    CHECK ((status = 'delivered') = (delivered_at IS NOT NULL))
);
CREATE INDEX ON alert_deliveries (channel, alert_id) WHERE status = 'pending';
COMMENT ON TABLE alert_deliveries IS 'What is to be said of an alert and to whom; written with the alert, so that no crash loses a message.';
COMMENT ON COLUMN alert_deliveries.alert_id IS 'The alert.';
COMMENT ON COLUMN alert_deliveries.event IS 'opened or resolved.';
COMMENT ON COLUMN alert_deliveries.channel IS 'The channel of the site file, such as `slack team`.';
COMMENT ON COLUMN alert_deliveries.status IS 'pending (tried again at the next evaluation), delivered, or dropped (too old by now, or the channel is gone).';
COMMENT ON COLUMN alert_deliveries.attempts IS 'How often sending it failed.';
COMMENT ON COLUMN alert_deliveries.error IS 'Why it failed last, in a sentence.';
COMMENT ON COLUMN alert_deliveries.created_at IS 'When it was to be said.';
COMMENT ON COLUMN alert_deliveries.delivered_at IS 'When the channel took it.';
