"""Pictures to a video file: H.264 in MP4, which every browser plays; each picture at its own time."""

import contextlib
import os
import secrets
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

from pc_pipeline.errors import UserError
from pc_pipeline.pictures.text import Picture

# Exact for every usual frame rate, and no finer than MPEG-4 part 2 knows.
TICKS_PER_S = 60_000
# The second is a part of every FFmpeg; browsers do not play it.
ENCODERS = (
    ("libx264", "H.264", {"preset": "veryfast", "crf": "23"}),
    ("mpeg4", "MPEG-4 part 2", {"qmin": "2", "qmax": "6"}),
)


class VideoFile:
    """A new video, written under a hidden name beside `path` and renamed when the block ends well.

    There is no file of that name before the block has ended; what ends it early leaves an older one as it was.

    Attributes:
        codec: what is written, in words.
        plays_in_browsers: whether browsers play it.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """

    def __init__(self, path: Path, frame_size: tuple[int, int], fps: float) -> None:
        """
        Args:
            frame_size: width and height of the pictures, pixels. H.264 wants even ones: an odd side is repeated.
            fps: pictures a second, about: for the encoder's planning only.
        """
        import av

        encoder, self.codec, options = next(known for known in ENCODERS if known[0] in av.codecs_available)
        self.plays_in_browsers = encoder == ENCODERS[0][0]
        self._path, self._last = path, -1
        self._part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        self._odd = (frame_size[1] % 2, frame_size[0] % 2)
        self._container: Any = av.open(str(self._part), "w", format="mp4", container_options={"movflags": "faststart"})
        rate = Fraction(fps if 0 < fps <= 240 else 25.0).limit_denominator(1001)
        width, height = frame_size[0] + self._odd[1], frame_size[1] + self._odd[0]
        self._stream: Any = self._container.add_stream(
            encoder, rate=rate, options=options, width=width, height=height, pix_fmt="yuv420p"
        )
        self._stream.codec_context.time_base = Fraction(1, TICKS_PER_S)

    def __enter__(self) -> "VideoFile":
        return self

    def write(self, picture: Picture, time_us: int) -> None:
        """Add a picture, shown from `time_us` (from the output's start) until the next one's time."""
        import av
        import numpy as np

        if any(self._odd):
            picture = np.pad(picture, ((0, self._odd[0]), (0, self._odd[1]), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame.time_base = Fraction(1, TICKS_PER_S)
        frame.pts = self._last = max(self._last + 1, time_us * TICKS_PER_S // 1_000_000)
        self._mux(frame)

    def _mux(self, frame: Any) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except OSError as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: OSError) -> UserError:
        reason = (error.strerror or str(error)).lower()
        return UserError(
            f"{self._path} could not be written: {reason}. Make room or allow it there, or write it elsewhere."
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._mux(None)
                self._close()
                self._part.replace(self._path)
            else:
                with contextlib.suppress(Exception):
                    self._container.close()
        finally:
            self._part.unlink(missing_ok=True)

    def _close(self) -> None:
        try:
            self._container.close()
            with self._part.open("rb") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unwritten(error) from error
