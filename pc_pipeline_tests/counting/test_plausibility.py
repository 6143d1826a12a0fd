"""What is usual for a camera passes, whatever it is; what chance gives passes; what is no longer usual does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pc_pipeline.counting.plausibility import balance, coverage, ks_distance, track_lengths, unknown_share

DAYS = 20
numbers = st.lists(st.floats(0.1, 100), min_size=1, max_size=30)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@given(numbers, numbers)
def test_the_distance_is_that_of_kolmogorov_and_smirnov(a, b):
    from scipy.stats import ks_2samp  # a second of every worker, were it at the top

    assert ks_distance(np.sort(a), np.sort(b)) == pytest.approx(ks_2samp(a, b, method="asymp").statistic)


@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("people", [25, 400])
def test_chance_fails_hardly_a_day_in_a_hundred(share, people):
    random = np.random.default_rng(3)
    drawn = random.binomial(people, share, (300, DAYS + 1))
    days = [[{"door": (int(n), people - int(n))} for n in row] for row in drawn]
    assert sum(not balance(row[0], row[1:]).passed for row in days) <= 3
    if share < 0.5:
        unknown = [[(int(n), people) for n in row] for row in drawn]
        assert sum(not unknown_share(row[0], row[1:]).passed for row in unknown) <= 3


def test_lengths_that_chance_draws_fail_hardly_a_day_in_a_hundred():
    random = np.random.default_rng(4)
    failed = 0
    for people in (25, 300):
        for _ in range(100):
            days = [random.lognormal(2, 0.7, people) for _ in range(DAYS)]
            failed += not track_lengths(days[0], days[1:]).passed
    assert failed <= 2


@given(st.integers(30, 500), st.floats(0, 1), st.integers(7, 28))
def test_a_day_like_all_the_others_is_balanced(people, share, days):
    usual = {"door": (round(people * share), people - round(people * share))}
    assert balance(usual, [usual] * days).passed


@given(st.integers(30, 500), st.floats(0, 0.2), st.booleans(), st.integers(7, 28))
def test_a_day_turned_around_is_not(people, share, mostly_in, days):
    few = round(people * share)
    usual, turned = {"door": (few, people - few)}, {"door": (people - few, few)}
    if mostly_in:
        usual, turned = turned, usual
    judged = balance(turned, [usual] * days)
    assert not judged.passed and abs(judged.figures["in beyond its usual"]) == people - 2 * few


def test_a_line_turned_around_is_found_however_the_others_balance():
    usual = {"door": (90, 10), "gate": (200, 200)}
    judged = balance({"door": (10, 90), "gate": (201, 199)}, [usual] * 7)
    assert not judged.passed and judged.figures["line farthest off"] == "door"


def test_a_camera_whose_days_differ_much_is_allowed_to():
    restless = [{"door": (50 + 4 * (n % 7 - 3), 50 - 4 * (n % 7 - 3))} for n in range(21)]
    steady = [{"door": (50, 50)}] * 21
    today = {"door": (66, 34)}
    assert balance(today, restless).passed and not balance(today, steady).passed


def test_too_few_people_or_days_are_not_judged():
    assert balance({"door": (19, 0)}, [{"door": (50, 50)}] * 28).passed
    assert balance({"door": (100, 0)}, [{"door": (50, 50)}] * 6).passed
    assert not balance({"door": (100, 0)}, [{"door": (50, 50)}] * 7).passed
    assert unknown_share((19, 19), []).passed and not unknown_share((20, 20), []).passed
    short, long = np.full(19, 1.0), np.full(50, 10.0)
    assert track_lengths(short, [long] * 28).passed and track_lengths(np.full(50, 1.0), [long] * 6).passed
    assert not track_lengths(np.full(50, 1.0), [long] * 7).passed


def test_fewer_unknown_than_usual_is_no_fault():
    assert unknown_share((0, 1000), [(300, 1000)] * 10).passed


def test_lengths_a_tenth_apart_are_the_same_place_however_many_tracks_say_otherwise():
    random = np.random.default_rng(6)
    days = [random.lognormal(2, 0.7, 5000) for _ in range(10)]
    assert track_lengths(random.lognormal(2, 0.7, 5000) * 1.1, days).passed
    assert not track_lengths(random.lognormal(2, 0.7, 5000) * 0.5, days).passed


def test_the_usual_of_an_hour_is_what_half_of_the_weeks_had():
    full, nothing = {9: 3600.0}, {}
    assert not coverage(nothing, [full, full, nothing, nothing][:3]).passed
    assert coverage(nothing, [full, nothing]).passed
    assert coverage(nothing, [full]).passed, "one week is no habit"
    assert coverage(nothing, [full] * 4, judged_before=9).passed
    assert not coverage(nothing, [full] * 4, judged_before=10).passed


def test_a_camera_that_records_only_what_moves_is_allowed_its_differences():
    random = np.random.default_rng(8)
    weeks = [{hour: float(random.uniform(300, 900)) for hour in range(24)} for _ in range(5)]
    assert coverage(weeks[0], weeks[1:]).passed
    assert not coverage({hour: 30.0 for hour in range(24)}, weeks[1:]).passed
