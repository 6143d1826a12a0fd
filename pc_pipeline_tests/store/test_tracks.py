"""Tracks are stored as integers, once rounded, and come back the same ever after."""

from dataclasses import fields, replace
from datetime import timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pc_pipeline.store.load import LoadSettings
from pc_pipeline.store.tracks import (
    bulk_upsert_tracks,
    decode_trajectory,
    each_track,
    encode_trajectory,
    first_sighting,
    insert_tracks,
    load_tracks,
    track_numbers,
    tracks_in_view,
    upsert_track,
)
from pc_pipeline.vision.arrays import Track
from pc_pipeline_tests.store.samples import START, add_session, some_track


def same(one: Track, other: Track) -> bool:
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Track))


@st.composite
def tracks(draw) -> Track:
    sightings = draw(st.integers(1, 20))

    def each(values: st.SearchStrategy, dtype: type, times: int = 1) -> np.ndarray:
        return np.array(draw(st.lists(values, min_size=times * sightings, max_size=times * sightings)), dtype)

    return Track(
        track_id=draw(st.integers(1, 1000)),
        frame_number=np.arange(sightings, dtype=np.int32),
        time_us=np.cumsum(each(st.integers(1, 10**9), np.int64)),
        boxes=each(st.floats(-10_000, 10_000, width=32), np.float32, times=4).reshape(-1, 4),
        confidence=each(st.floats(0, 1, width=32), np.float32),
        interpolated=each(st.booleans(), np.bool_),
    )


@given(tracks())
def test_rounding_happens_once_and_by_at_most_a_twentieth_of_a_pixel(track):
    encoded = encode_trajectory(track)
    loaded = decode_trajectory(track.track_id, encoded)
    assert encode_trajectory(loaded) == encoded
    assert np.abs(loaded.boxes - track.boxes).max() <= 0.0511
    assert np.abs(loaded.confidence - track.confidence).max() <= 0.000501
    for exact in ("frame_number", "time_us", "interpolated"):
        assert np.array_equal(getattr(loaded, exact), getattr(track, exact))
    for field in fields(Track)[1:]:
        assert getattr(loaded, field.name).dtype == getattr(track, field.name).dtype


def test_stored_tracks_come_back_by_number_and_can_be_stored_again(connection):
    add_session(connection)
    report = bulk_upsert_tracks(
        connection, 7, START, [some_track(number, seed=number) for number in (3, 1, 2)], LoadSettings(batch_rows=2)
    )
    assert (report.rows, report.batches) == (3, 2)
    loaded = load_tracks(connection, 7)
    assert [track.track_id for track in loaded] == [1, 2, 3]
    bulk_upsert_tracks(connection, 7, START, loaded)
    assert all(map(same, load_tracks(connection, 7), loaded))


def test_a_row_sums_up_what_was_seen_not_what_was_filled_in(connection):
    add_session(connection)
    track = some_track(sightings=5)
    upsert_track(connection, 7, START, track)
    cursor = connection.cursor()
    cursor.execute(
        "SELECT started_at, extract(epoch FROM ended_at - started_at), detection_count, mean_confidence FROM tracks"
    )
    started_at, seconds, count, mean = cursor.fetchone()
    assert (started_at, float(seconds), count) == (START, 0.16, 4)
    assert abs(mean - track.confidence[~track.interpolated].mean()) < 0.001


def test_a_track_replaced_keeps_what_hangs_on_it(connection):
    add_session(connection)
    upsert_track(connection, 7, START, some_track(seed=1))
    connection.cursor().execute("INSERT INTO track_genders VALUES (7, 1, 1, 2.5, 3)")
    upsert_track(connection, 7, START, some_track(seed=2, sightings=9))
    [track] = load_tracks(connection, 7)
    assert len(track.frame_number) == 9
    cursor = connection.cursor()
    cursor.execute("SELECT gender FROM track_genders")
    assert cursor.fetchall() == [(1,)]


def test_no_tracks_are_no_rows(connection):
    add_session(connection)
    assert bulk_upsert_tracks(connection, 7, START, []).rows == 0
    assert load_tracks(connection, 7) == []


def test_tracks_that_come_as_they_close_are_numbered_in_the_order_of_their_numbers(connection):
    add_session(connection)
    insert_tracks(connection, 7, START, (some_track(number, seed=number) for number in (901, 5, 70)), LoadSettings(2))
    expected = [replace(some_track(number, seed=seed), track_id=number) for number, seed in ((1, 5), (2, 70), (3, 901))]
    stored = [decode_trajectory(track.track_id, encode_trajectory(track)) for track in expected]
    assert all(map(same, load_tracks(connection, 7), stored))
    assert track_numbers(connection, 7) == [1, 2, 3]


def test_all_tracks_one_after_the_other_are_those_loaded_at_once(connection):
    add_session(connection)
    bulk_upsert_tracks(connection, 7, START, [some_track(number, seed=number) for number in range(1, 46)])
    found = []
    for track in each_track(connection, 7):
        found.append(track)
        assert same(*load_tracks(connection, 7, [track.track_id]), track), "the connection is free in between"
    whole = load_tracks(connection, 7)
    assert len(found) == 45 and all(map(same, found, whole))
    assert [track.track_id for track in load_tracks(connection, 7, [9, 3, 99])] == [3, 9]


def test_tracks_in_view_are_those_that_reach_into_the_time(connection):
    add_session(connection)
    assert first_sighting(connection, 7) is None
    # Track n is in view from n to n + 0.16 s.
    tracks = [replace(some_track(n), time_us=some_track(n).time_us + n * 1_000_000) for n in range(1, 6)]
    bulk_upsert_tracks(connection, 7, START, tracks)
    assert first_sighting(connection, 7) == START + timedelta(seconds=1)

    def in_view(first, last):
        first, last = (START + timedelta(seconds=seconds) for seconds in (first, last))
        return [track.track_id for track in tracks_in_view(connection, 7, first, last)]

    assert in_view(2.16, 4) == [2, 3, 4]
    assert in_view(2.17, 3.99) == [3]
    assert in_view(2.5, 2.6) == []
