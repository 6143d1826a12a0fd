"""Vision, pure: video files in, arrays out. No Dagster, no database.

OpenCV and its FFmpeg read their settings from the environment at import, so they are set here, before any module
below imports cv2. FFmpeg's own lines mean nothing to a user (we say in one sentence what is wrong with a file); that
there were any is heard in `vision.complaints`. A file that is a playlist or a list of files in disguise must not make
FFmpeg open what it names, on this machine or another: only containers that hold their pictures themselves are read.
"""

import os

# FFmpeg's names of containers, and of streams that come without one.
CONTAINERS = (
    "mov,mp4,avi,matroska,webm,mpeg,mpegts,mpegvideo,m4v,h264,hevc,mjpeg,asf,flv,dhav,mxf,gxf,nut,ogg,ivf,rm,wtv"
)

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
# 16: errors.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "16")
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"protocol_whitelist;file|format_whitelist;{CONTAINERS}")
