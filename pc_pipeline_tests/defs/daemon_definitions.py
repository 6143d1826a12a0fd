"""The product's definitions for a real daemon in a test: its sensors tick every other second."""

from pc_pipeline.definitions import defs

for _sensor in defs.sensors or []:
    _sensor._min_interval = 2  # type: ignore[union-attr]
