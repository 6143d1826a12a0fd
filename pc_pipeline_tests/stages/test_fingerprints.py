"""What each stage hangs on: a change travels down the way, and only down."""

import datetime as dt
from dataclasses import replace

import pytest

from pc_pipeline.ingest.site import SiteConfig
from pc_pipeline.stages import fingerprints as fp
from pc_pipeline.store.ledger import CameraSpan, Entry, Link, Video, ZoneVersion

START = dt.datetime(2026, 3, 3, 9, tzinfo=dt.UTC)
MODELS = fp.ModelHashes("detector", None)


def video(number: int, **changes) -> Video:
    """The n-th file of ten minutes, one after the other, with nothing done."""
    begins = START + dt.timedelta(minutes=10 * (number - 1))
    plain = Video(
        number, "door", begins, begins + dt.timedelta(minutes=10), begins.date(), f"{number}.mp4", f"content {number}",
        1, 1, 640, 480, "present",
    )  # fmt: skip
    return replace(plain, **changes)


def span(*videos: Video, links: tuple[Link, ...] = (), zones: tuple[ZoneVersion, ...] = (), **settings) -> CameraSpan:
    site = SiteConfig.model_validate({"timezone": "UTC", "cameras": {"door": settings}})
    return CameraSpan("door", site.effective("door").model_dump(mode="json"), zones, videos, links)


def settled(before: CameraSpan, models: fp.ModelHashes = MODELS) -> CameraSpan:
    """The span once every stage of every video is done."""
    for stage in fp.STAGES:
        done = []
        for one in before.videos:
            fingerprint = fp.expected(stage, before, one, models)
            assert fingerprint
            done.append(replace(one, ledger={**one.ledger, stage: Entry(fingerprint, "done")}))
        before = replace(before, videos=tuple(done))
    return before


def outstanding(of: CameraSpan, number: int = 1, models: fp.ModelHashes = MODELS) -> list[str]:
    return [stage for stage in fp.STAGES if fp.outstanding(stage, of, of.video(number), models)]


def test_at_first_only_what_needs_no_other_is_outstanding():
    assert outstanding(span(video(1))) == [fp.RAW_DETECTIONS]


def test_what_was_detected_before_there_was_motion_gating_stays_as_long_as_that_is_off():
    off = SiteConfig(timezone="UTC").effective("door").detector.model_dump(mode="json")
    assert off["motion_gate"] is False
    before = {key: value for key, value in off.items() if key != "motion_gate"}
    assert fp.raw_fingerprint("content", "model", off) == fp.raw_fingerprint("content", "model", before)
    assert fp.raw_fingerprint("content", "model", {**off, "motion_gate": True}) != fp.raw_fingerprint(
        "content", "model", before
    )


def test_nothing_is_outstanding_once_all_is_done():
    assert outstanding(settled(span(video(1), video(2)))) == []


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ({"detector": {"confidence": 0.5}}, fp.RAW_DETECTIONS),
        ({"detector": {"iou": 0.4}}, fp.RAW_DETECTIONS),
        ({"detector": {"classes": [0, 1]}}, fp.RAW_DETECTIONS),
        ({"detector": {"motion_gate": True}}, fp.RAW_DETECTIONS),
        ({"detector": {"sample_every": 0.5}}, fp.RAW_DETECTIONS),
        ({"quality": {"frozen": 60.0}}, fp.CAMERA_EVENTS),
        ({"tracker": {"lost_after": 5.0}}, fp.TRACKS),
        ({"counting": {"link_gap": 5.0}}, fp.TRACK_LINKS),
        ({"counting": {"band": 0.5}}, fp.PEOPLE_MOVEMENTS),
        ({"counting": {"anchor": "center"}}, fp.PEOPLE_MOVEMENTS),
        # No gender model is configured, so how one would be used changes nothing.
        ({"gender": {"crops": 9}}, None),
    ],
)
def test_a_setting_makes_its_own_stage_outstanding_first(settings, first):
    now = replace(settled(span(video(1))), config=span(**settings).config)
    assert (outstanding(now) or [None])[0] == first


def test_a_models_content_counts_not_its_name():
    now = settled(span(video(1), detector={"model": "yolo11n"}))
    assert outstanding(replace(now, config=span(detector={"model": "yolo11s"}).config)) == []
    assert outstanding(now, models=fp.ModelHashes("other", None)) == [fp.RAW_DETECTIONS]
    assert outstanding(now, models=fp.ModelHashes("detector", "gender")) == [fp.TRACK_GENDERS]


def test_new_content_under_the_same_name_starts_anew():
    now = settled(span(video(1)))
    changed = replace(now, videos=(replace(now.videos[0], content_hash="new"),))
    assert outstanding(changed) == [fp.RAW_DETECTIONS]


def test_only_geometry_in_force_when_the_video_starts_counts():
    def line(valid_from, x):
        return ZoneVersion("line", "sill", valid_from, (x, 0.0, x, 1.0), "right")

    always, noon = line(None, 0.5), line(START + dt.timedelta(hours=3), 0.7)
    now = settled(span(video(1), zones=(always,)))
    assert outstanding(replace(now, zones=(always, noon))) == []
    assert outstanding(replace(now, zones=(always, line(START, 0.7)))) == [fp.PEOPLE_MOVEMENTS]
    assert outstanding(replace(now, zones=(line(None, 0.6),))) == [fp.PEOPLE_MOVEMENTS]
    assert outstanding(replace(now, zones=(replace(always, in_side="left"),))) == [fp.PEOPLE_MOVEMENTS]
    hall = ZoneVersion("zone", "hall", None, (0.0, 0.0, 1.0, 0.0, 1.0, 1.0), None)
    assert outstanding(replace(now, zones=(always, hall))) == [fp.ZONE_VISITS]


def test_a_new_neighbour_concerns_only_the_file_after_it():
    alone = settled(span(video(1), video(3)))
    three = replace(alone, videos=(alone.videos[0], video(2), alone.videos[1]))
    assert outstanding(three, 1) == outstanding(three, 3) == []
    done = settled(span(video(2))).videos[0]
    tracked = replace(three, videos=(alone.videos[0], done, alone.videos[1]))
    assert outstanding(tracked, 1) == []
    assert outstanding(tracked, 2) == [fp.TRACK_LINKS]
    # Before the third there was a gap, which the second fills.
    assert outstanding(tracked, 3) == [fp.CAMERA_EVENTS, fp.TRACK_LINKS]


def test_what_is_usual_of_a_camera_is_the_median_of_its_last_videos_before():
    known = {"ended_at": START, "ledger": {fp.RAW_DETECTIONS: Entry("raw", "done")}}
    earlier = [
        video(n, **(known | {"ended_at": START + dt.timedelta(minutes=10 * n), "fps": fps, "sharpness": sharpness}))
        for n, fps, sharpness in ((1, 25.0, 0.2), (2, 25.0, 0.21), (3, 5.0, None))
    ]
    last = video(4)
    before = fp.before(span(*earlier, last, video(5)), last)
    assert (before.fps, before.gap_from, before.at_once) == (25.0, None, False)
    assert before.sharpness == pytest.approx(0.205, rel=0.2)
    # What shows nothing is nothing to compare with.
    assert before.reference == earlier[1]
    # Not looked at yet, or quarantined: it tells nothing.
    unseen = [replace(one, ledger={}) for one in earlier]
    assert fp.before(span(*unseen, last), last) == fp.Before(None, False, None, None, None)
    gone = [replace(one, status="source deleted") for one in unseen]
    assert fp.before(span(*gone, last), last).fps == 25.0


def test_a_gap_is_from_the_end_of_all_before():
    known = {"ledger": {fp.RAW_DETECTIONS: Entry("raw", "done")}}
    long = video(1, ended_at=START + dt.timedelta(minutes=29, seconds=50), **known)
    within = video(2, **known)
    after = video(4)
    assert fp.before(span(long, within, after), after).gap_from == long.ended_at
    assert fp.before(span(long, within, after, quality={"gap": 20.0}), after).gap_from is None


def test_files_further_apart_than_the_gap_are_no_neighbours():
    late = video(2, started_at=START + dt.timedelta(minutes=10, seconds=3))
    assert fp.predecessor(settled(span(video(1), late)), late) is None
    assert fp.predecessor(settled(span(video(1), late, counting={"link_gap": 3.0})), late) is not None


def test_a_link_concerns_every_video_its_chain_touches():
    now = settled(span(video(1), video(2), video(3), video(4)))
    linked = replace(now, links=(Link(2, 5, 1, 7), Link(3, 1, 2, 5)))
    assert fp.chains(linked) == [[(1, 7), (2, 5), (3, 1)]]
    assert outstanding(linked, 1) == outstanding(linked, 3) == [fp.PEOPLE_MOVEMENTS, fp.ZONE_VISITS]
    assert outstanding(linked, 4) == []


def test_what_is_quarantined_is_settled_until_its_input_changes():
    fingerprint = fp.expected(fp.RAW_DETECTIONS, span(video(1)), video(1), MODELS)
    assert fingerprint
    broken = video(1, ledger={fp.RAW_DETECTIONS: Entry(fingerprint, "quarantined", "no frame")})
    assert outstanding(span(broken)) == []
    assert outstanding(span(replace(broken, content_hash="new"))) == [fp.RAW_DETECTIONS]


def test_a_video_whose_file_is_gone_keeps_what_it_has_and_is_recounted_from_its_tracks():
    now = settled(span(video(1)))
    gone = replace(now, videos=(replace(now.videos[0], status="source deleted"),))
    detector, gender = fp.ModelHashes("other", None), fp.ModelHashes("detector", "gender")
    assert outstanding(gone, models=detector) == outstanding(gone, models=gender) == []
    assert outstanding(replace(gone, config=span(tracker={"min_duration": 1.0}).config)) == [fp.TRACKS]
    line = ZoneVersion("line", "sill", None, (0.5, 0.0, 0.5, 1.0), "right")
    assert outstanding(replace(gone, zones=(line,))) == [fp.PEOPLE_MOVEMENTS]
    # Never looked at, and gone: there is nothing to do.
    assert outstanding(span(video(1, status="source deleted"))) == []
