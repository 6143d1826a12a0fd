"""Some frames of a long video without decoding what lies between, where they are sure to be the same pictures.

The container's packets are read, not decoded. A frame is decoded from the last packet before it that depends on nothing
earlier. Whatever leaves a doubt about which packet is which frame, or about its pixels, raises `Doubtful`: the caller
decodes from the start instead.
"""

from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import av

CODECS = frozenset(("h264", "hevc", "mjpeg"))
# Containers that store when each picture is shown. AVI does not: there only pictures that never wait for another one
# come in the order of their packets.
TIMED = frozenset(("mov", "matroska", "mpegts"))
# Times went through a container's milliseconds and a decoder's floats.
SAME_TIME_US = 1_000
# With less to skip, decoding from the start is as fast.
LEAST_SKIPPED = 0.1
# Grey levels between a pixel's channels: with less, two ways to turn a video's colours into BGR look alike.
COLOURED = 24

# Types of NAL units: ITU-T H.264, table 7-1, and H.265, table 7-1.
_H264_SLICES, _H264_FRESH, _H264_SETTINGS = range(1, 6), range(5, 6), range(7, 9)
_H265_SLICES, _H265_FRESH, _H265_SETTINGS = range(32), range(16, 22), range(32, 35)


class Doubtful(Exception):
    """The frames must be decoded from the start."""


@dataclass(frozen=True)
class _Index:
    """The packets of a video, in the order in which they are decoded.

    Attributes:
        time: int64[P], when each one's picture is shown, in the container's units; distinct.
        fresh: bool[P], no picture that is decoded and shown later depends on one before it.
        spare: bool[P], no other picture depends on it.
        unit_us: the container's unit of time, microseconds.
    """

    time: NDArray[np.int64]
    fresh: NDArray[np.bool_]
    spare: NDArray[np.bool_]
    unit_us: float


def pictures_at(
    path: Path,
    container: str,
    frame_numbers: Sequence[int],
    after_us: Sequence[int],
    first: NDArray[np.uint8],
    rotation: int,
) -> Iterator[NDArray[np.uint8]]:
    """The pictures of these frames, in order: uint8[H, W, 3], BGR, upright.

    Args:
        path: the video.
        container: FFmpeg's name of its container.
        frame_numbers: sorted, distinct, at least one.
        after_us: microseconds from frame 0 to each of them, as found when all were decoded.
        first: frame 0 as decoding from the start gives it. It is decoded here too and must be the same.
        rotation: degrees clockwise that pictures are turned by.

    Raises:
        Doubtful: the next picture might not be the one that decoding from the start gives, or nothing can be skipped.
    """
    import av

    try:
        index = _read_index(path, container, after_us[-1])
        before = [0] if frame_numbers[0] else []
        wanted = _packets_of(index, [*before, *frame_numbers], [*before, *after_us])
        pictures = _decode(path, index, wanted, rotation)
        if not np.array_equal(next(pictures), first):
            raise Doubtful
        if not before:
            yield first
        colours_proven = _coloured(first)
        for picture in pictures:
            if picture.shape != first.shape or not (colours_proven or not _coloured(picture)):
                raise Doubtful
            yield picture
    except (av.FFmpegError, OSError, ValueError) as error:
        raise Doubtful from error


def _read_index(path: Path, container: str, until_us: int) -> _Index:
    """The packets up to the one that is decoded `until_us` after the first one is shown."""
    times, fresh, spare = array("q"), bytearray(), bytearray()
    settings: set[bytes] = set()
    earliest: int | None = None
    with _opened(path) as file:
        stream = file.streams.video[0]
        codec = stream.codec_context.name
        if codec not in CODECS or not (container in TIMED or codec == "mjpeg") or not stream.time_base:
            raise Doubtful
        unit_us = float(stream.time_base * 1_000_000)
        length_size = _length_size(codec, stream.codec_context.extradata)
        for packet in file.demux(stream):
            if packet.pts is None and not packet.size:
                break  # what PyAV puts at the end
            changes = packet.has_sidedata("new_extradata")
            if packet.pts is None or packet.is_discard or packet.is_corrupt or changes:
                raise Doubtful
            is_fresh, is_spare, sets = _dependence(codec, bytes(packet), length_size)
            times.append(packet.pts)
            fresh.append(is_fresh)
            spare.append(is_spare)
            if sets:
                settings.add(sets)
            earliest = packet.pts if earliest is None else min(earliest, packet.pts)
            if packet.dts is not None and (packet.dts - earliest) * unit_us > until_us + SAME_TIME_US:
                break
    index = _Index(np.array(times, np.int64), np.array(fresh, np.bool_), np.array(spare, np.bool_), unit_us)
    # Settings that change lie in packets that would be skipped.
    if len(settings) > 1 or not index.fresh[:1].all() or len(np.unique(index.time)) < len(index.time):
        raise Doubtful
    return index


def _opened(path: Path) -> "av.container.InputContainer":
    import av

    return av.open(str(path.absolute()), options={"protocol_whitelist": "file"})


def _packets_of(index: _Index, frame_numbers: Sequence[int], after_us: Sequence[int]) -> list[int]:
    """The place in the index of each frame: by its number, and by its time."""
    shown = np.argsort(index.time)
    if frame_numbers[-1] >= len(shown):
        raise Doubtful
    packets = shown[np.asarray(frame_numbers, np.int64)]
    told_us = (index.time[packets] - index.time[shown[0]]) * index.unit_us
    if np.abs(told_us - np.asarray(after_us, np.float64)).max() > SAME_TIME_US:
        raise Doubtful
    return packets.tolist()


def _needed(index: _Index, wanted: list[int]) -> NDArray[np.bool_]:
    """bool[P]: the packets to decode, for those wanted."""
    needed = np.zeros(len(index.time), np.bool_)
    fresh = np.flatnonzero(index.fresh)
    for packet in wanted:
        before = fresh[: np.searchsorted(fresh, packet, "right")]
        before = before[index.time[before] <= index.time[packet]]
        if not len(before):
            raise Doubtful
        needed[before[-1] : packet + 1] = True
    needed &= ~index.spare
    needed[wanted] = True
    if needed.sum() > (1 - LEAST_SKIPPED) * max(wanted):
        raise Doubtful
    return needed


def _decode(path: Path, index: _Index, wanted: list[int], rotation: int) -> Iterator[NDArray[np.uint8]]:
    """The pictures of the packets `wanted`, in the order in which they are shown."""
    from av.video.reformatter import Interpolation, VideoReformatter

    needed = _needed(index, wanted)
    due = deque(index.time[wanted].tolist())
    reformatter = VideoReformatter()
    last_shown = None
    with _opened(path) as file:
        stream = file.streams.video[0]
        # An error is filled in with what was decoded before: that must be decoded too.
        stream.codec_context.options = {"err_detect": "explode"}
        stream.thread_type = "AUTO"
        for frame in _frames(file.demux(stream), stream.codec_context, index, needed):
            if frame.is_corrupt or frame.pts is None or (last_shown is not None and frame.pts <= last_shown):
                raise Doubtful
            last_shown = frame.pts
            if frame.pts == due[0]:
                # Bicubic, as OpenCV has it: it makes a difference where colours are stored in 10 bits.
                converted = reformatter.reformat(frame, format="bgr24", interpolation=Interpolation.BICUBIC)
                yield np.ascontiguousarray(np.rot90(np.asarray(converted.to_ndarray(), np.uint8), -rotation // 90))
                due.popleft()
                if not due:
                    return
            elif frame.pts > due[0]:
                raise Doubtful
    raise Doubtful


def _frames(
    packets: "Iterator[av.Packet]", codec: "av.VideoCodecContext", index: _Index, needed: NDArray[np.bool_]
) -> "Iterator[av.VideoFrame]":
    """What the needed packets are decoded to."""
    last = int(np.flatnonzero(needed)[-1])
    for place, packet in enumerate(packets):
        if packet.pts != index.time[place]:
            raise Doubtful
        if needed[place]:
            if place and index.fresh[place] and not needed[place - 1]:
                yield from codec.decode(None)
                codec.flush_buffers()
            yield from codec.decode(packet)
        if place == last:
            yield from codec.decode(None)
            return


def _length_size(codec: str, extradata: bytes | None) -> int:
    """Bytes of the length before each NAL unit, 0 where start codes part them (ISO/IEC 14496-15: avcC, hvcC)."""
    if codec == "mjpeg" or not extradata or extradata[0] != 1:
        return 0
    return (extradata[4 if codec == "h264" else 21] & 3) + 1


def _dependence(codec: str, packet: bytes, length_size: int) -> tuple[bool, bool, bytes]:
    """Whether a packet is `fresh` and `spare`, and the stream's settings that it carries."""
    if codec == "mjpeg":
        # A picture may go without tables of its own and use those of the one before.
        whole = b"\xff\xc4" in packet and b"\xff\xdb" in packet
        return whole, False, b""
    slices, fresh, settings = (
        (_H264_SLICES, _H264_FRESH, _H264_SETTINGS) if codec == "h264" else (_H265_SLICES, _H265_FRESH, _H265_SETTINGS)
    )
    is_fresh, is_spare, sets = False, codec == "h264", b""
    for start, end in _units(packet, length_size):
        header = packet[start]
        kind = header & 31 if codec == "h264" else header >> 1 & 63
        if kind in slices:
            is_fresh |= kind in fresh
            is_spare &= not header & 0x60
        elif kind in settings:
            sets += packet[start:end].rstrip(b"\0")
    return is_fresh, is_spare, sets


def _units(packet: bytes, length_size: int) -> Iterator[tuple[int, int]]:
    """Where each NAL unit starts and ends."""
    at = 0
    if length_size:
        while at + length_size < len(packet):
            start = at + length_size
            at = start + int.from_bytes(packet[at:start], "big")
            if not start < at <= len(packet):
                raise Doubtful
            yield start, at
        return
    at = packet.find(b"\0\0\1")
    while at >= 0 and at + 3 < len(packet):
        following = packet.find(b"\0\0\1", at + 3)
        yield at + 3, following if following >= 0 else len(packet)
        at = following


def _coloured(picture: NDArray[np.uint8]) -> bool:
    some = picture[::4, ::4].reshape(-1, 3).astype(np.int16)
    return bool(np.abs(some - some[:, [1, 2, 0]]).max() >= COLOURED)
