"""Whether FFmpeg complained while it decoded: OpenCV hands on pictures that are damaged as if they were whole.

What FFmpeg has to say of errors OpenCV prints to C's `stdout`, from whatever thread, and tells nobody else. So that
stream is another one while a video is decoded: a piece of memory of fixed size. Python's own output, and what
libraries print to stderr, take other ways.
"""

import ctypes
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

# What is printed beyond that is dropped: one damaged hour would fill megabytes.
_ROOM_BYTES = 65536
_MARK = b"[OPENCV:FFMPEG:"

_lock = threading.Lock()
_listeners: "list[Complaints]" = []
_usual: list[int | None] = []


class Complaints:
    """What was heard while `listening`; of two videos decoded at once, both hear the complaints about either."""

    heard: bool = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen within the block, which opens a video and releases it."""
        with _lock:
            if not _listeners:
                _usual[:] = [_stdout().value]
                _start()
            _listeners.append(self)
        try:
            yield
        finally:
            with _lock:
                if _printed():
                    for listener in _listeners:
                        listener.heard = True
                _listeners.remove(self)
                if not _listeners:
                    _stdout().value = _usual.pop()


def _stdout() -> ctypes.c_void_p:
    return ctypes.c_void_p.in_dll(_library(), "stdout")


@cache
def _library() -> Any:
    library = ctypes.CDLL(None)
    library.fdopen.restype = ctypes.c_void_p
    library.rewind.argtypes = library.fflush.argtypes = [ctypes.c_void_p]
    return library


@cache
def _room() -> tuple[int, int]:
    """The memory as a file, and C's stream that writes there. It is never closed: a thread might be writing."""
    file = os.memfd_create("ffmpeg", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.ftruncate(file, _ROOM_BYTES)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
    return file, _library().fdopen(os.dup(file), b"w")


def _start() -> None:
    file, stream = _room()
    _library().fflush(stream)
    _library().rewind(stream)
    os.pwrite(file, bytes(len(_MARK)), 0)
    _stdout().value = stream


def _printed() -> bool:
    file, stream = _room()
    _library().fflush(stream)
    return os.pread(file, len(_MARK), 0) == _MARK
