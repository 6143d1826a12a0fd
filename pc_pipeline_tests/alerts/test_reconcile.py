"""Whatever is evaluated, in whatever order and however often: what lasts is open, once, and nothing is told twice."""

import datetime as dt
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pc_pipeline.alerts.judge import GONE, NOT_WATCHED, Episode
from pc_pipeline.alerts.reconcile import Known, reconcile
from pc_pipeline.ingest.alerts import KINDS

START = dt.datetime(2026, 3, 10, tzinfo=dt.UTC)
WATCHED = {(kind, camera, "") for kind in KINDS for camera in ("door", "back", "")}


def at(hour):
    return START + dt.timedelta(hours=hour)


def episode(since, ended=None, kind="nobody", camera="door", subject=""):
    ended_at = None if ended is None else at(ended)
    return Episode(kind, camera, subject, at(since), ended_at, 1.0, 2.0, "title", "says", "advice", "over")


class Log:
    """`alert_logs` in memory, and every message that would be sent."""

    def __init__(self):
        self.alerts: list[Known] = []
        self.told: list[tuple[int, str]] = []

    def evaluate(self, found, hour=48, evaluated=KINDS, watched=frozenset(WATCHED)):
        oldest = at(hour - 48)
        known = [alert for alert in self.alerts if alert.ended_at is None or alert.ended_at >= oldest]
        plan = reconcile(known, found, now=at(hour), oldest=oldest, evaluated=evaluated, watched=watched)
        for number, ended_at, _ in plan.resolve:
            self.alerts[number] = replace(self.alerts[number], ended_at=ended_at)
            self.told.append((number, "resolved"))
        for number, one in plan.update:
            self.alerts[number] = replace(self.alerts[number], since=min(self.alerts[number].since, one.since))
        for one in [*plan.open, *plan.past]:
            self.told.append((len(self.alerts), "resolved" if one.ended_at else "opened"))
            self.alerts.append(Known(len(self.alerts), one.key, one.since, one.ended_at))
        return plan

    def open(self):
        return sorted(alert.key for alert in self.alerts if alert.ended_at is None)


@st.composite
def findings(draw):
    """What one evaluation may find: of each of three keys episodes one after the other, the last one maybe lasting."""
    found = []
    for kind, camera in (("nobody", "door"), ("nobody", "back"), ("coverage", "door")):
        times = sorted(draw(st.sets(st.integers(1, 47), max_size=5)))
        pairs = list(zip(times[::2], times[1::2], strict=False))
        found += [episode(since, ended, kind, camera) for since, ended in pairs]
        found += [episode(times[-1], None, kind, camera)] if len(times) % 2 else []
    return draw(st.permutations(found))


@settings(max_examples=50)
@given(st.lists(findings(), max_size=4), findings(), st.integers(1, 3))
def test_after_any_evaluations_exactly_what_lasts_is_open_and_each_thing_is_told_once(before, last, times):
    log = Log()
    for found in before:
        log.evaluate(found)
    for _ in range(times):
        log.evaluate(last)
    assert log.open() == sorted({one.key for one in last if one.ended_at is None})
    assert len(log.open()) == len(set(log.open()))
    assert len(log.told) == len(set(log.told))
    for alert in log.alerts:
        events = [event for number, event in log.told if number == alert.alert_id]
        assert events in (["opened"], ["opened", "resolved"], ["resolved"])
        assert (events[-1] == "resolved") == (alert.ended_at is not None)


@settings(max_examples=50)
@given(findings())
def test_an_evaluation_of_the_same_again_opens_and_resolves_nothing(found):
    log = Log()
    log.evaluate(found)
    again = log.evaluate(found)
    assert (again.open, again.past, again.resolve) == ([], [], [])
    assert len(again.update) == len(log.open())


@settings(max_examples=50)
@given(findings(), findings())
def test_which_evaluation_comes_last_decides_what_is_open_and_not_those_before(one, other):
    forth, alone = Log(), Log()
    for found in (one, other):
        forth.evaluate(found)
    alone.evaluate(other)
    assert forth.open() == alone.open()


def test_late_files_that_move_the_beginning_leave_one_alert():
    log = Log()
    log.evaluate([episode(10)])
    log.evaluate([episode(8)])
    log.evaluate([episode(12)])
    assert [(alert.since, alert.ended_at) for alert in log.alerts] == [(at(8), None)]
    assert log.told == [(0, "opened")]


def test_what_was_over_before_anybody_looked_is_told_once_as_over():
    log = Log()
    log.evaluate([episode(10, 12)])
    log.evaluate([episode(10, 12), episode(20)])
    assert log.told == [(0, "resolved"), (1, "opened")]


def test_what_ended_long_ago_is_history_and_no_alert():
    log = Log()
    plan = log.evaluate([episode(1, 2)], hour=51)
    assert (plan.open, plan.past) == ([], [])


def test_an_alert_ends_when_its_episode_does_or_when_nothing_is_found_any_more():
    log = Log()
    log.evaluate([episode(10), episode(10, camera="back")])
    plan = log.evaluate([episode(10, 13)])
    assert plan.resolve == [(0, at(13), "over"), (1, at(48), GONE["nobody"])]


def test_what_is_not_evaluated_stays_and_what_is_not_watched_any_more_ends():
    log = Log()
    log.evaluate([episode(10, kind="run_failed", camera="", subject="camera_day")])
    assert not log.evaluate([], evaluated={"nobody"}).resolve
    plan = log.evaluate([], evaluated={"nobody"}, watched={("nobody", "door", "")})
    assert plan.resolve == [(0, at(48), NOT_WATCHED)]


def test_a_zone_that_has_no_limit_any_more_is_not_watched():
    log = Log()
    log.evaluate([episode(10, kind="occupancy", subject="hall")], watched={("occupancy", "door", "hall")})
    assert log.open()
    log.evaluate([], watched={("occupancy", "door", "")})
    assert not log.open()
