"""Tracks as files that other tools read: COCO JSON, and tables in CSV and Parquet. MOTChallenge text is in `mot`.

Videos are written one after the other as they come, so that months of tracks need no memory; COCO alone is one whole.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from pc_pipeline.vision.arrays import Track

if TYPE_CHECKING:
    import pyarrow as pa

PERSON = {"id": 1, "name": "person", "supercategory": "person"}


@dataclass(frozen=True)
class VideoTracks:
    """One video and all its tracks: its first frame's time (aware), its path, and pixels of its upright frame."""

    video_id: int
    camera: str
    started_at: datetime
    path: str
    width: int
    height: int
    tracks: list[Track]


def write_csv(videos: Iterable[VideoTracks], file: IO[bytes]) -> None:
    """CSV with a header: camera, video_id, track_id, ts, frame_number, x1, y1, x2, y2, confidence, interpolated.

    `ts` is ISO 8601 in UTC with microseconds, frames count from 0, boxes are in pixels.
    """
    import pyarrow as pa
    import pyarrow.csv

    file.write((",".join(_schema().names) + "\n").encode())
    # Neither a camera's name nor a time can hold a comma, and `needed` would put quotes around each.
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
    for table in map(_table, videos):
        moments = table.column("ts").to_numpy()
        text = pa.array(np.datetime_as_string(moments, unit="us").astype(object) + "Z", pa.string())
        table = table.set_column(table.schema.get_field_index("ts"), "ts", text)
        held = pa.BufferOutputStream()
        pyarrow.csv.write_csv(table, held, options)
        file.write(held.getvalue())


def write_parquet(videos: Iterable[VideoTracks], file: IO[bytes]) -> None:
    """Parquet with the columns of `write_csv`, `ts` as a timestamp in UTC; a row group or more a video."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(file, _schema(), compression="zstd") as writer:
        for table in map(_table, videos):
            writer.write_table(table)


def write_coco(videos: Iterable[VideoTracks], file: IO[bytes]) -> None:
    """COCO JSON (cocodataset.org, "Data format"), with videos: an image for each frame that has a box, and for each box
    an annotation of category person with its `track_id`, unique within a video. Boxes are [left, top, width, height].
    """
    found: dict[str, list[Any]] = {"videos": [], "images": [], "annotations": [], "categories": [PERSON]}
    for video in videos:
        found["videos"].append(
            {"id": video.video_id, "name": PurePath(video.path).name, "camera": video.camera,
             "width": video.width, "height": video.height, "start": _iso(video.started_at)}
        )  # fmt: skip
        images: dict[int, int] = {}
        for number, time_us in sorted(
            {(int(n), int(t)) for track in video.tracks for n, t in zip(track.frame_number, track.time_us, strict=True)}
        ):
            images[number] = len(found["images"]) + 1
            found["images"].append(
                {"id": images[number], "video_id": video.video_id, "frame_number": number,
                 "file_name": f"{PurePath(video.path).stem}/{number:06d}.jpg", "width": video.width,
                 "height": video.height, "date_captured": _iso(video.started_at + timedelta(microseconds=time_us))}
            )  # fmt: skip
        for track in video.tracks:
            corners = np.round(track.boxes.astype(np.float64), 2)
            sizes = np.round(corners[:, 2:] - corners[:, :2], 2)
            rows = zip(track.frame_number, corners, sizes, track.confidence, track.interpolated, strict=True)
            for number, corner, size, confidence, interpolated in rows:
                found["annotations"].append(
                    {"id": len(found["annotations"]) + 1, "image_id": images[int(number)],
                     "video_id": video.video_id, "track_id": track.track_id, "category_id": PERSON["id"],
                     "bbox": [*corner[:2].tolist(), *size.tolist()], "area": round(float(size.prod()), 2), "iscrowd": 0,
                     "score": round(float(confidence), 3), "interpolated": bool(interpolated)}
                )  # fmt: skip
    file.write(json.dumps(found, separators=(",", ":")).encode())


def _schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(
        [
            ("camera", pa.string()),
            ("video_id", pa.int64()),
            ("track_id", pa.int32()),
            ("ts", pa.timestamp("us", "UTC")),
            ("frame_number", pa.int32()),
            *((edge, pa.float32()) for edge in ("x1", "y1", "x2", "y2")),
            ("confidence", pa.float32()),
            ("interpolated", pa.bool_()),
        ]
    )


def _table(video: VideoTracks) -> "pa.Table":
    import pyarrow as pa

    tracks = video.tracks
    count = sum(len(track.time_us) for track in tracks)

    def joined(name: str, dtype: Any) -> np.ndarray:
        return np.concatenate([np.zeros(0, dtype), *(getattr(track, name) for track in tracks)]).astype(dtype)

    boxes = np.concatenate([np.zeros((0, 4), np.float32), *(track.boxes for track in tracks)])
    start = np.datetime64(video.started_at.astimezone(UTC).replace(tzinfo=None), "us")
    ids = np.repeat([track.track_id for track in tracks], [len(track.time_us) for track in tracks]).astype(np.int32)
    columns = [
        pa.array([video.camera] * count, pa.string()),
        np.full(count, video.video_id, np.int64),
        ids,
        pa.array(start + joined("time_us", np.int64).astype("m8[us]"), pa.timestamp("us", "UTC")),
        joined("frame_number", np.int32),
        *(boxes[:, edge] for edge in range(4)),
        joined("confidence", np.float32),
        joined("interpolated", np.bool_),
    ]
    return pa.table(columns, schema=_schema())


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
