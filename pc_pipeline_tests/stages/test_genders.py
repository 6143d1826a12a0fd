"""Genders of a video's tracks: told from its file where a model is configured, unknown where the file is gone."""

import datetime as dt
from dataclasses import replace

from pc_pipeline.ingest.site import GenderConfig
from pc_pipeline.stages.fingerprints import RAW_DETECTIONS, TRACK_GENDERS, TRACKS
from pc_pipeline.store.detections import seen_boxes
from pc_pipeline.store.postgres import in_transaction
from pc_pipeline.store.tracks import load_tracks
from pc_pipeline.vision.crops import choose_crops
from pc_pipeline.vision.gender import judge_crops
from pc_pipeline.vision.models import resolve
from pc_pipeline_tests import clips
from pc_pipeline_tests.stages.world import FPS, HEIGHT, TALL, WIDTH, across, local

DAY = dt.date(2026, 3, 3)
MODEL = "person-attributes-recognition-crossroad-0230"


def test_each_track_has_the_verdict_of_its_crops_and_is_unknown_where_the_file_is_gone(world, tmp_path, models_dir):
    world.machine = replace(world.machine, models_dir=models_dir)
    world.apply(gender={"model": MODEL})
    paths = [across(60, y=300), across(60, 540, 100, y=460)]
    path = clips.write(tmp_path / "clip.mp4", clips.walkers(paths, WIDTH, HEIGHT, TALL))
    video = world.add_file(local("2026-03-03 09:00:00"), path)
    world.detected(video, clips.detections_of(paths, TALL, FPS))
    gone = world.film(local("2026-03-03 11:00:00"), *paths)
    world.run(DAY, (RAW_DETECTIONS, TRACKS))
    world.execute(f"UPDATE videos SET status = 'source deleted' WHERE video_id = {gone}")
    report = world.run(DAY, (TRACK_GENDERS,))[TRACK_GENDERS]
    assert report.rows == world.count("tracks") == 4

    def at_once(connection):
        start = world.rows("SELECT started_at FROM videos WHERE video_id = %s", video)[0][0]
        tracks, seen = load_tracks(connection, video), seen_boxes(connection, video, start)
        return choose_crops(tracks, seen, GenderConfig(), (WIDTH, HEIGHT))

    crops, _ = in_transaction(world.machine.dsn, at_once)
    expected = [
        (video, row.track_id, row.gender, row.log_odds, row.crops)
        for row in judge_crops(path, crops, resolve(MODEL, models_dir), GenderConfig())
    ]
    assert [row[-1] for row in expected] == [5, 5]
    rows = world.rows("SELECT video_id, track_id, gender, log_odds, crops FROM track_genders ORDER BY 1, 2")
    assert sorted(rows) == sorted([*expected, (gone, 1, 0, 0, 0), (gone, 2, 0, 0, 0)])
