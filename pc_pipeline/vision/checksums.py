"""What a Matroska file's own checksums tell: whether its pictures are still those that were recorded.

A byte flipped in a compressed picture mostly decodes without an error. Of the containers read here Matroska alone may
keep a checksum of what it holds: FFmpeg, and recorders built on it, write one into each cluster (a few seconds of
pictures). FFmpeg does not look at it when it reads.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# EBML's ids (RFC 8794, 11.2 and 11.3; RFC 9559, 5.1), with their marker bits.
_HEADER, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
# The checksum, where there is one, comes first: its id, its length of four bytes, and the sum.
_CHECKSUM = b"\xbf\x84"
_CHECKSUM_BYTES = 6
_AT_ONCE_BYTES = 1 << 20


def changed_clusters(path: Path) -> int:
    """How many clusters of a Matroska file do not have the checksum that stands in them (CRC-32: RFC 8794, 11.3.1).

    Clusters without one, or without a length, count as whole. So do those after the place where the file ends too early
    or its elements no longer follow one another, which the decoder notices; and every file of another kind.
    """
    try:
        with path.open("rb") as file:
            # Only clusters: tools that edit a title or a duration in place may leave other sums behind.
            return sum(_is_changed(file, start, end) for element, start, end in _elements(file) if element == _CLUSTER)
    except OSError:
        return 0


def _elements(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """The outermost elements and those of the segment: id, and where the content starts and ends."""
    size, at = file.seek(0, 2), 0
    while at < size:
        file.seek(at)
        head = file.read(12)
        element, id_bytes = _number(head, 4, keep_marker=True)
        length, length_bytes = _number(head[id_bytes:], 8, keep_marker=False)
        if not id_bytes or not length_bytes or (at == 0 and element != _HEADER):
            return
        start = at + id_bytes + length_bytes
        if element == _SEGMENT:
            at = start
            continue
        # All ones is an unknown length (RFC 8794, 6.2): what was written as it came.
        if length == (1 << 7 * length_bytes) - 1 or start + length > size:
            return
        yield element, start, start + length
        at = start + length


def _number(content: bytes, longest: int, keep_marker: bool) -> tuple[int, int]:
    """A number of variable length (RFC 8794, 4) and how many bytes it takes, 0 where there is none."""
    length = 9 - content[0].bit_length() if content else 0
    if not 0 < length <= longest or len(content) < length:
        return 0, 0
    number = int.from_bytes(content[:length], "big")
    return number if keep_marker else number & ((1 << 7 * length) - 1), length


def _is_changed(file: BinaryIO, start: int, end: int) -> bool:
    file.seek(start)
    head = file.read(_CHECKSUM_BYTES)
    left = end - start - _CHECKSUM_BYTES
    if not head.startswith(_CHECKSUM) or left < 0:
        return False
    found = 0
    while left and (piece := file.read(min(left, _AT_ONCE_BYTES))):
        found = zlib.crc32(piece, found)
        left -= len(piece)
    return not left and found != int.from_bytes(head[len(_CHECKSUM) :], "little")
