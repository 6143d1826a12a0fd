"""The video written: each picture at its time, whole or not there."""

import numpy as np
import pytest

from pc_pipeline.pictures.encode import VideoFile
from pc_pipeline.vision.decode import probe, read_frames
from pc_pipeline_tests.clips import picture


@pytest.mark.parametrize(("encoder", "codec"), [("libx264", "h264"), ("mpeg4", "mpeg4")])
def test_pictures_keep_their_times_and_odd_sizes_are_made_even(tmp_path, monkeypatch, encoder, codec):
    monkeypatch.setattr("av.codecs_available", {encoder})
    path = tmp_path / "out.mp4"
    times_us = [0, 40_000, 100_000, 1_733_000, 1_766_333, 5_000_000]
    with VideoFile(path, (161, 121), 25.0) as file:
        for number, time_us in enumerate(times_us):
            file.write(picture(161, 121, [(10 * number, 20, 10 * number + 40, 100)]), time_us)
        assert not path.exists() and file.plays_in_browsers == (codec == "h264")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"]
    frames = list(read_frames(path))
    assert np.allclose([frame.pts_us for frame in frames], times_us, atol=1000)
    assert (frames[0].image.shape, probe(path).codec) == ((122, 162, 3), codec)
    dark = [np.flatnonzero(frame.image[60, :, 0] < 125) for frame in frames]
    assert np.allclose([columns[0] for columns in dark], [10 * number for number in range(6)], atol=3)


def test_what_ends_early_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt), VideoFile(path, (160, 120), 25.0) as file:
        for number in range(80):
            file.write(picture(160, 120), number * 40_000)
        assert len(list(tmp_path.iterdir())) == 2, "it is being written"
        raise KeyboardInterrupt
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"]
