"""How far the file of a video reaches that nobody has decoded yet."""

import datetime as dt
from pathlib import Path

# What decoding may find behind the last time that the file's index tells.
_SPARE = dt.timedelta(minutes=1)


def reaches(path: Path, size_bytes: int, mtime_ns: int) -> dt.timedelta | None:
    """The time from a file's first frame within which all its frames lie; None where that cannot be told.

    An MP4 or MOV can be decoded as far as its index goes, so its last packet tells. Other containers may go on behind
    what they say of themselves, with times that begin anew.

    Args:
        size_bytes, mtime_ns: of the file as it was registered; of one that changed since nothing is told.
    """
    import av

    try:
        facts = path.stat()
        if (facts.st_size, facts.st_mtime_ns) != (size_bytes, mtime_ns):
            return None
        with av.open(str(path), format="mov", options={"protocol_whitelist": "file"}) as file:
            stream = file.streams.video[0]
            if stream.time_base is None:
                return None
            # To the last picture that stands alone, and from there on packet by packet.
            file.seek(stream.duration or 0, stream=stream)
            shown = [packet.pts + (packet.duration or 0) for packet in file.demux(stream) if packet.pts is not None]
            last = max([*shown, stream.duration or 0], default=0)
            return dt.timedelta(seconds=float(last * stream.time_base)) + _SPARE
    except (av.FFmpegError, OSError, ValueError, IndexError, OverflowError):
        return None
