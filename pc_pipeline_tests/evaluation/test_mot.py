"""MOTChallenge text: what is written is read again; what cannot be a truth is refused in one sentence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pc_pipeline.evaluation.metrics import scores
from pc_pipeline.evaluation.mot import BadTruth, read_mot, write_mot
from pc_pipeline.vision.arrays import Track

tenths = st.integers(-200, 20000).map(lambda value: value / 10)


@st.composite
def a_track(draw: st.DrawFn, track_id: int) -> Track:
    """A track as the database has it: boxes in tenths of a pixel, confidence in thousandths."""
    frames = sorted(draw(st.sets(st.integers(0, 5000), min_size=1, max_size=6)))
    boxes = []
    for _ in frames:
        x, y, width, height = draw(tenths), draw(tenths), draw(st.integers(10, 9000)), draw(st.integers(10, 9000))
        boxes.append((x, y, x + width / 10, y + height / 10))
    confidence = [draw(st.integers(0, 1000)) / 1000 for _ in frames]
    return Track(
        track_id=track_id,
        frame_number=np.array(frames, np.int32),
        time_us=np.array(frames, np.int64) * 40_000,
        boxes=np.array(boxes, np.float32),
        confidence=np.array(confidence, np.float32),
        interpolated=np.array([draw(st.booleans()) for _ in frames]),
    )


some_tracks = st.lists(st.integers(1, 10**6), min_size=1, max_size=4, unique=True).flatmap(
    lambda ids: st.tuples(*(a_track(track_id) for track_id in sorted(ids)))
)


@settings(max_examples=40)
@given(some_tracks)
def test_what_is_written_is_read_again(tracks: tuple[Track, ...]):
    read = read_mot(write_mot(tracks).splitlines(), "out.txt").tracks(lambda frames: frames.astype(np.int64) * 40_000)
    assert [track.track_id for track in read] == [track.track_id for track in tracks]
    for before, after in zip(tracks, read, strict=True):
        np.testing.assert_array_equal(after.frame_number, before.frame_number)
        np.testing.assert_array_equal(after.time_us, before.time_us)
        np.testing.assert_allclose(after.boxes, before.boxes, atol=0.011, rtol=0)
        np.testing.assert_allclose(after.confidence, before.confidence, atol=0.0011, rtol=0)


@settings(max_examples=40)
@given(some_tracks)
def test_an_export_read_as_truth_agrees_with_itself(tracks: tuple[Track, ...]):
    truth = read_mot(write_mot(tracks).splitlines(), "out.txt").tracks(lambda frames: frames.astype(np.int64) * 40_000)
    found = scores(truth, tracks, np.unique(np.concatenate([track.frame_number for track in tracks])))
    assert (found["IDF1"], found["MOTA"], found["IDSW"]) == (1.0, 1.0, 0)


def test_a_row_is_frame_id_left_top_width_height():
    rows = read_mot(["3,7,10,20,30,40,1,-1,-1,-1\n", "\n", "1,8,0,0,5,5\n"], "gt.txt", scale=0.5)
    assert rows.frame_number.tolist() == [0, 2]
    assert rows.person.tolist() == [8, 7]
    assert rows.boxes.tolist() == [[0, 0, 2.5, 2.5], [5, 10, 20, 30]]


@pytest.mark.parametrize(
    ("row", "counts"),
    [
        ("1,1,0,0,5,5,1", True),
        ("1,1,0,0,5,5,0", True),  # there, but not to be judged
        ("1,1,0,0,5,5,0,1,1.0", True),
        ("1,1,0,0,5,5,0,3,1.0", False),
        ("1,1,0,0,5,5,1,1,0.3", True),
        ("1,1,0,0,5,5,1,3,0.3", False),
        ("1,1,0,0,5,5,1,-1", True),
        ("1,1,0,0,5,5,1,-4.1554,-7.3591,0", True),  # a place in the world, not a class
    ],
)
def test_rows_of_other_classes_do_not_count(row, counts):
    assert len(read_mot([row, "9,9,0,0,5,5,1"], "gt.txt").person) == 1 + counts


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["1,1,0,0,5,5,1", "1,1,0,0,5"], "gt.txt:2: this is no line of MOTChallenge text"),
        (["1 1 0 0 5 5"], "gt.txt:1: this is no line of MOTChallenge text"),
        (["1,1,0,0,5,wide,1"], "gt.txt:1: 'wide' is no number."),
        (["0,1,0,0,5,5,1"], "gt.txt:1: frame 0 is no frame"),
        (["1.5,1,0,0,5,5,1"], "gt.txt:1: frame 1.5 is no frame"),
        (["1,-1,0,0,5,5,1"], "gt.txt:1: id -1 names nobody"),
        (["1,1,0,0,0,5,1"], "gt.txt:1: a box is wider and higher than 0, not 0 by 5."),
        (["1,1,0,nan,5,5,1"], "gt.txt:1: every value must be a finite number."),
        (["1,1,0,0,5,5,1", "", "1,1,9,9,5,5,1"], "gt.txt:3: person 1 is in frame 1 already, on line 1"),
        (["1,1,0,0,5,5,0"], "gt.txt: there is nobody in it"),
        ([], "gt.txt: there is nobody in it"),
    ],
)
def test_a_bad_truth_is_one_sentence_with_its_line(lines, sentence):
    with pytest.raises(BadTruth) as refused:
        read_mot(lines, "gt.txt")
    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)
