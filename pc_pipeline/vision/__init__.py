"""Vision, pure: video files in, arrays out. No Dagster, no database.

OpenCV and its FFmpeg read their settings from the environment at import, so they are set here, before any module
below imports cv2: FFmpeg's own lines on stderr mean nothing to a user (we say in one sentence what is wrong with a
file), and a file that is a playlist in disguise must not make FFmpeg open other files' protocols.
"""

import os

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file")
