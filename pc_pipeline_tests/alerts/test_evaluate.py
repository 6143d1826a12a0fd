"""Alerts over a real database: found in the figures, opened once, told once, resolved by themselves, never lost."""

import datetime as dt
import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.extensions import make_dsn
from psycopg2.extras import execute_values

from pc_pipeline.alerts import deliver
from pc_pipeline.alerts.evaluate import Observed, Report, evaluate
from pc_pipeline.alerts.judge import FailedRun
from pc_pipeline.ingest.site import SiteConfig
from pc_pipeline.store import registry
from pc_pipeline.store.alerts import listed
from pc_pipeline.store.postgres import connect, in_transaction, one_connection
from pc_pipeline.store.rollups import hours_of
from pc_pipeline_tests.alerts.servers import webhook_server
from pc_pipeline_tests.stages.world import LONDON, die, local, start
from pc_pipeline_tests.store.recorded import add_recording

TUESDAY = dt.date(2026, 3, 10)
NOON = local(f"{TUESDAY} 12:00:00")
WEEKS = [TUESDAY - dt.timedelta(days=7 * n) for n in range(1, 5)]
HOUR = dt.timedelta(hours=1)
EMPTY = (
    "DELETE FROM alert_logs; ALTER TABLE alert_logs ALTER COLUMN alert_id RESTART; DELETE FROM alert_thresholds;"
    " DELETE FROM system_config; DELETE FROM hourly_statistics; DELETE FROM videos; DELETE FROM cameras;"
    " DELETE FROM site"
)


class Place:
    """A site whose hours are written straight into their table, and whose clock is set by hand."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.apply()

    def apply(self, cameras=None, **alerts) -> None:
        """Apply a site file with these alerts, and webhook `hook` at `$HOOK`."""
        hook = {"webhooks": {"hook": {"url_env": "HOOK"}}}
        self.site = SiteConfig.model_validate(
            {"timezone": LONDON.key, "alerts": hook | alerts, "cameras": cameras or {"door": {}}}
        )
        in_transaction(self.dsn, lambda connection: registry.apply_site(connection, self.site))

    def execute(self, statement, values=()):
        in_transaction(self.dsn, lambda connection: connection.cursor().execute(statement, values))

    def rows(self, query):
        with closing(connect(self.dsn)) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def hours(self, dates, hours, *, people=40, seconds=3600.0, peak=5, camera="door", zones=None) -> None:
        """Hours of the clock of a local day, or of several, all alike."""
        by_zone = json.dumps({name: {"peak_occupancy": most} for name, most in (zones or {}).items()})
        rows = [
            (camera, begin, date, 0, 0, people, 0, 0, people, peak, 0, int(seconds * 1000), by_zone)
            for date in ([dates] if isinstance(dates, dt.date) else dates)
            for begin, _ in hours_of(date, LONDON)
            if begin.astimezone(LONDON).hour in hours
        ]
        names = (
            "camera, hour_start, date, entered, exited, unique_total, unique_male, unique_female, unique_unknown,"
            " peak_occupancy, mean_occupancy, coverage_ms, by_zone"
        )
        changed = ", ".join(f"{name} = EXCLUDED.{name}" for name in names.split(", ")[3:])
        replace = f"ON CONFLICT (camera, hour_start) DO UPDATE SET {changed}"
        insert = f"INSERT INTO hourly_statistics ({names}) VALUES %s {replace}"
        in_transaction(self.dsn, lambda connection: execute_values(connection.cursor(), insert, rows))

    def evaluate(self, now=NOON, **options) -> Report:
        return evaluate(self.dsn, self.site, now, **options)

    def alerts(self, only_open=False):
        return in_transaction(self.dsn, lambda connection: listed(connection, only_open=only_open))[0]

    def open(self):
        return sorted((alert["kind"], alert["camera"], alert["subject"]) for alert in self.alerts(only_open=True))


@pytest.fixture(scope="module")
def _dsn(endpoints, _template):
    with closing(connect(endpoints.postgres_dsn)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE alerts TEMPLATE {_template} STRATEGY FILE_COPY")
        yield make_dsn(endpoints.postgres_dsn, dbname="alerts")
        connection.cursor().execute("DROP DATABASE alerts WITH (FORCE)")


@pytest.fixture
def place(_dsn):
    """A site without figures; its alerts are numbered from 1."""
    with one_connection():
        in_transaction(_dsn, lambda connection: connection.cursor().execute(EMPTY))
        yield Place(_dsn)


@pytest.fixture
def hook(monkeypatch):
    with webhook_server() as taken:
        monkeypatch.setenv("HOOK", f"http://{taken.address}/")
        yield taken


def before(days):
    """The days so many days before the Tuesday."""
    return [TUESDAY - dt.timedelta(days=ago) for ago in days]


def told(hook):
    """What the webhook was told: number and event of each."""
    return [event["id"] for body in hook.bodies for event in body["events"]]


# ------------------------------------------------------------------------------------------------- opened and resolved


def test_an_alert_opens_once_is_brought_up_to_date_and_ends_by_itself(place, hook):
    place.apply(occupancy=50)
    place.hours(TUESDAY, [9], peak=60)
    assert place.evaluate().opened == ["Too many people: door"]
    place.hours(TUESDAY, [8, 9], peak=70)  # the eighth hour's file comes late
    later = place.evaluate(NOON + HOUR)
    assert (later.opened, later.resolved, later.sent) == ([], [], [])
    (alert,) = place.alerts()
    assert (alert["value"], alert["threshold"], alert["times_seen"]) == (70, 50, 2)
    assert alert["since"] == local(f"{TUESDAY} 08:00:00")
    assert (alert["opened_at"], alert["last_seen_at"]) == (NOON, NOON + HOUR)
    place.hours(TUESDAY, [10], peak=50)
    assert place.evaluate(NOON + 2 * HOUR).resolved == ["Too many people: door"]
    (alert,) = place.alerts()
    assert (alert["ended_at"], alert["resolved_at"]) == (local(f"{TUESDAY} 10:00:00"), NOON + 2 * HOUR)
    place.evaluate(NOON + 3 * HOUR)
    assert told(hook) == ["1-opened", "1-resolved"]
    opened, resolved = (body["events"][0]["alert"] for body in hook.bodies)
    assert "Up to 60 people were inside at once" in opened["says"] and opened["resolved_at"] is None
    assert resolved["resolution"].startswith("No more than 50 people inside from Tue 2026-03-10 10:00")


def test_months_of_old_video_are_history_and_no_alert(place, hook):
    place.apply(occupancy=50)
    place.hours(before(range(36, 96)), [9, 10], peak=99, people=0)
    assert place.evaluate() == Report()
    assert (place.alerts(), told(hook)) == ([], [])
    # Of yesterday it is told, also when it comes late and is over.
    place.hours(before([1]), [9], peak=99)
    place.hours(before([1]), [10], peak=9)
    assert place.evaluate().resolved == ["Too many people: door"]
    assert told(hook) == ["1-resolved"] and place.open() == []


def test_applying_says_that_alerts_changed_when_a_limit_did_and_not_when_a_camera_came(place):
    def said(cameras, **alerts):
        site = SiteConfig.model_validate({"timezone": LONDON.key, "alerts": alerts, "cameras": cameras})
        changes, _ = in_transaction(place.dsn, lambda connection: registry.apply_site(connection, site))
        return [change.what for change in changes if change.action == "changed"]

    assert said({"door": {}}) == ["alerts"]  # the webhook went
    assert said({"door": {}, "back": {}}) == []
    assert said({"door": {"alerts": {"occupancy": 5}}, "back": {}}) == ["alerts"]
    assert said({"door": {"alerts": {"occupancy": 5}}, "back": {}}, max_age=3600) == ["alerts"]


def test_what_is_switched_off_ends_and_a_camera_that_is_not_active_is_not_watched(place, hook):
    place.apply(occupancy=50)
    place.hours(TUESDAY, [11], peak=60)
    place.evaluate()
    place.apply({"door": {"alerts": {"occupancy": None}}}, occupancy=50)
    assert place.evaluate().resolved == ["Too many people: door"]
    assert "no longer watched" in place.alerts()[0]["resolution"]
    place.apply({"door": {"active": False}}, occupancy=50)
    assert place.evaluate().opened == []


# ----------------------------------------------------------------------------------------------- nobody, and no video


def test_nobody_is_told_where_there_is_video_and_missing_video_where_there_is_none(place, hook):
    place.hours(WEEKS, range(8, 18))
    place.hours(TUESDAY, [8])
    place.hours(TUESDAY, [9, 10], people=0)
    assert place.evaluate().opened == ["Nobody seen: door"]
    place.execute("DELETE FROM hourly_statistics WHERE date = %s AND unique_total = 0", (TUESDAY,))
    again = place.evaluate()
    assert (again.opened, again.resolved) == (["Video is missing: door"], ["Nobody seen: door"])
    assert "3.0 h of the usual video of door are missing since Tue 2026-03-10 09:00 GMT" in again.open[0]["says"]
    # The files come late.
    place.hours(TUESDAY, [9, 10, 11])
    assert place.evaluate().resolved == ["Video is missing: door"] and place.open() == []


def test_an_hour_that_is_not_over_is_not_judged_empty(place, hook):
    place.hours(WEEKS, [11, 12])
    place.hours(TUESDAY, [11])
    place.hours(TUESDAY, [12], people=0)
    assert place.evaluate(NOON + dt.timedelta(minutes=59)).opened == []
    assert place.evaluate(NOON + HOUR).opened == ["Nobody seen: door"]


def test_a_dead_camera_stays_an_alert_for_months_and_does_not_become_usual(place, hook):
    place.hours(before(range(1, 36)), range(8, 18))
    assert place.evaluate(local(f"{TUESDAY} 10:00:00")).opened == ["Video is missing: door"]
    for days in (1, 10, 40, 90):
        assert place.evaluate(NOON + dt.timedelta(days=days)).resolved == [], days
    (alert,) = place.alerts()
    assert alert["since"] == local(f"{TUESDAY} 08:00:00")
    assert "since Tue 2026-03-10 08:00 GMT" in alert["says"]
    back = TUESDAY + dt.timedelta(days=91)
    place.hours(back, [9])
    assert place.evaluate(local(f"{back} 10:30:00")).resolved == ["Video is missing: door"]
    assert told(hook) == ["1-opened", "1-resolved"]


def test_a_young_camera_that_dies_is_told_by_the_days_before(place, hook):
    place.hours(before([1, 2, 3]), range(8, 18))
    assert place.evaluate().opened == ["Video is missing: door"]


def test_a_camera_that_never_gave_video_and_one_that_rests_on_this_weekday_lack_nothing(place, hook):
    place.hours(before([1, 8, 15, 22, 29]), range(8, 18))
    place.apply({"door": {}, "new": {}})
    assert place.evaluate().opened == []


def test_hours_are_compared_on_the_clock_when_summer_time_begins(place, hook):
    monday = dt.date(2026, 3, 30)  # the clocks went forward the night before
    place.hours([monday - dt.timedelta(days=7 * n) for n in range(5)], range(9, 12))
    assert place.evaluate(local(f"{monday} 15:00:00")).opened == []
    place.hours(monday, [9], people=0)
    place.evaluate(local(f"{monday} 15:00:00"))
    (alert,) = place.alerts()
    assert (alert["since"], alert["ended_at"]) == (local("2026-03-30 09:00:00"), local("2026-03-30 10:00:00"))
    assert "since" not in alert["says"] and "from Mon 2026-03-30 09:00 BST" in alert["says"]


# -------------------------------------------------------------------------------------------- the site, and its zones


def test_who_comes_in_by_one_door_and_leaves_by_another_was_inside_once(place, hook):
    nine = local(f"{TUESDAY} 09:00:00")
    minute = dt.timedelta(minutes=1)
    seen = [(nine, nine + minute, 0)] * 4
    comes = [(nine + n * minute, n, "in") for n in range(1, 5)]
    leaves = [(nine + (10 + n) * minute, n, "out") for n in range(1, 3)]
    # A camera that nobody wants to hear of counts who is inside all the same.
    unheard = {"alerts": {"nobody": None, "coverage": None, "unknown_share": False, "checks": False}}
    place.apply({"front": {}, "back": unheard}, site_occupancy=3)
    with closing(connect(place.dsn)) as connection, connection:
        add_recording(connection, 1, nine, nine + HOUR, LONDON, seen, comes, camera="front")
        add_recording(connection, 2, nine, nine + HOUR, LONDON, seen, leaves, camera="back")
    for camera in ("front", "back"):
        place.hours(TUESDAY, [9, 10], camera=camera)
    place.evaluate()
    (alert,) = place.alerts()
    assert (alert["camera"], alert["value"], alert["ended_at"]) == ("", 4, local(f"{TUESDAY} 10:00:00"))
    assert "(the whole site)" in alert["says"]
    # Two are inside all the while, in hours that nobody crosses a line in too.
    place.apply({"front": {}, "back": {}}, site_occupancy=1)
    place.evaluate()
    assert place.open() == [("occupancy", "", "")]


def test_a_zone_has_a_limit_of_its_own(place, hook):
    hall = {"zones": {"hall": [[0, 0], [1, 0], [1, 1]]}, "alerts": {"zones": {"hall": 3}}, "location": "Gate"}
    place.apply({"door": hall})
    place.hours(TUESDAY, [11], zones={"hall": 4})
    place.evaluate()
    (alert,) = place.alerts()
    assert (alert["subject"], alert["title"]) == ("hall", "Too many people: zone 'hall' of door (Gate)")


def test_more_unknown_people_than_usual(place, hook):
    place.apply({"door": {"gender": {"model": "a model"}}})
    nine = local(f"{TUESDAY} 09:00:00")
    with closing(connect(place.dsn)) as connection, connection:
        add_recording(connection, 1, nine, nine + HOUR, LONDON)
        connection.cursor().execute("INSERT INTO run_gender_summary VALUES (1, 100, 40, 0, 60)")
    assert place.evaluate().opened == ["Gender is often unknown: door"]
    place.execute("UPDATE run_gender_summary SET unique_male = 80, unique_unknown = 20")
    assert place.evaluate().resolved == ["Gender is often unknown: door"]


# -------------------------------------------------------------------------------------------------------- deliveries


def crowded(place):
    """An alert that lasts."""
    place.apply(occupancy=50)
    place.hours(TUESDAY, [11], peak=60)


def test_a_channel_that_was_down_gets_it_at_the_next_evaluation_once(place, hook):
    crowded(place)
    hook.answer = 503
    (sent,) = place.evaluate().sent
    assert sent.error == "The webhook answered 503: see its own log, or correct the URL."
    assert [row["error"] for row in place.alerts()[0]["deliveries"]] == [sent.error]
    hook.answer = 200
    (sent,) = place.evaluate(NOON + HOUR).sent
    assert sent.error is None
    assert place.evaluate(NOON + HOUR).sent == []
    assert told(hook) == ["1-opened", "1-opened"]  # the first one was answered with 503


def test_all_that_is_to_be_said_goes_in_one_message(place, hook):
    cameras = {f"camera{n}": {} for n in range(12)}
    place.apply(cameras, occupancy=50)
    for camera in cameras:
        place.hours(TUESDAY, [11], peak=60, camera=camera)
    place.evaluate()
    assert len(hook.bodies) == 1 and len(set(told(hook))) == 12


def test_a_channel_takes_only_the_kinds_it_is_for(place, hook):
    crowded(place)
    place.apply(occupancy=50, webhooks={"hook": {"url_env": "HOOK", "kinds": ["run_failed"]}})
    assert place.evaluate().opened and told(hook) == []


def test_what_could_not_be_said_for_too_long_or_by_a_channel_that_is_gone_is_dropped(place, hook):
    crowded(place)
    hook.answer = 503
    place.evaluate()
    late = NOON + dt.timedelta(days=2, minutes=1)
    place.evaluate(late)
    statuses = "SELECT event, status FROM alert_deliveries ORDER BY 1"
    assert place.rows(statuses) == [("opened", "dropped"), ("resolved", "pending")]
    place.apply(occupancy=50, webhooks={})
    place.evaluate(late)
    assert place.rows(statuses) == [("opened", "dropped"), ("resolved", "dropped")]


def evaluate_and_die(dsn, address, sent):
    """`kill -9` before a message is sent, or when it is sent and not yet marked."""
    os.environ["HOOK"] = f"http://{address}/"
    place, send = Place.__new__(Place), deliver.send

    def dying(*arguments):
        if sent:
            send(*arguments)
        die()

    deliver.send = dying
    place.dsn, place.site = dsn, SiteConfig(timezone=LONDON.key)
    place.evaluate()


@pytest.mark.parametrize("sent", [False, True])
def test_a_crash_between_commit_and_sending_loses_nothing(place, hook, sent):
    crowded(place)
    process = start(evaluate_and_die, place.dsn, hook.address, sent)
    process.join(60)
    assert process.exitcode == -9 and place.open() == [("occupancy", "door", "")]
    assert told(hook) == ["1-opened"] * sent
    assert place.evaluate().opened == []
    # What was sent and not marked is sent again: the receiver tells by its id.
    assert told(hook) == ["1-opened"] * (1 + sent)
    assert place.evaluate().sent == []


def test_two_evaluators_at_once_open_one_alert_and_tell_it_once(place, hook):
    crowded(place)
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: place.evaluate(), range(4)))
    assert sorted(report.opened for report in reports) == [[], [], [], ["Too many people: door"]]
    assert told(hook) == ["1-opened"]


def test_the_database_itself_holds_one_open_alert_of_a_thing(place, hook):
    crowded(place)
    place.evaluate()
    columns = "kind, camera, subject, since, title, says, advice, opened_at, last_seen_at"
    with pytest.raises(Exception, match="alert_logs_open"):
        place.execute(f"INSERT INTO alert_logs ({columns}) SELECT {columns} FROM alert_logs")


def test_a_dry_run_shows_what_is_then_sent_and_changes_nothing(place, hook):
    crowded(place)
    tables = ("alert_logs", "alert_deliveries", "alert_thresholds", "system_config")
    before = [place.rows(f"SELECT * FROM {table}") for table in tables]
    dry = place.evaluate(dry_run=True)
    assert (dry.opened, len(dry.open), told(hook)) == (["Too many people: door"], 1, [])
    assert [place.rows(f"SELECT * FROM {table}") for table in tables] == before
    place.evaluate()
    # The number alone is another: it is given when an alert is opened.
    (sent,), (real,) = json.loads(dry.sent[0].text)["events"], hook.bodies[0]["events"]
    assert {**sent["alert"], "number": 0} == {**real["alert"], "number": 0}


# --------------------------------------------------------------------------------------------------------- evaluations


def test_a_site_applied_before_there_were_alerts_is_watched_all_the_same(place, hook):
    place.execute("DELETE FROM system_config; DELETE FROM alert_thresholds")
    failed = FailedRun("camera_day", "door|2026-03-10", "r" * 32, NOON, "The disk is full.")
    place.evaluate(observe=lambda oldest: Observed(runs=[failed]))
    assert place.open() == [("run_failed", "", "camera_day")]
    # Nothing is said of runs where Dagster's storage was not looked at, and it ends where it was.
    assert place.evaluate().resolved == []
    assert place.evaluate(observe=lambda oldest: Observed()).resolved == ["Runs fail: camera_day"]


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(8, 12)), st.lists(st.booleans(), min_size=4, max_size=4), st.integers(1, 2))
def test_in_whatever_order_hours_come_and_whenever_it_is_evaluated_the_same_is_open(place, order, looks, times):
    place.execute("DELETE FROM hourly_statistics; DELETE FROM alert_logs")
    place.apply(occupancy=50, webhooks={})
    place.hours(WEEKS[:2], range(8, 12))
    figures = {8: (40, 60), 9: (0, 60), 10: (0, 40), 11: (0, 70)}
    for hour, look in zip(order, looks, strict=True):
        people, peak = figures[hour]
        place.hours(TUESDAY, [hour], people=people, peak=peak)
        if look:
            place.evaluate()
    for _ in range(times):
        place.evaluate()
    assert place.open() == [("nobody", "door", ""), ("occupancy", "door", "")]
