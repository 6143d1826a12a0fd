"""What a run imports, so that processes forked from one that has it need not."""

import cv2  # noqa: F401
import pyarrow.parquet  # noqa: F401
import scipy.optimize  # noqa: F401
import trackers  # noqa: F401

import pc_pipeline.stages.runner  # noqa: F401
import pc_pipeline_tests.stages.world  # noqa: F401
