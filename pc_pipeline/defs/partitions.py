"""The partitions, defined once: a camera-day, and a day."""

import datetime as dt
from functools import cache

import dagster as dg

from pc_pipeline.ingest.site import SiteConfig, load_site
from pc_pipeline.settings import Settings


@cache
def site() -> SiteConfig:
    """The site file applied last; before the first, a site in UTC without cameras.

    Raises:
        ConfigError: the applied file was changed by hand and is wrong.
    """
    file = Settings().site_file
    return load_site(file) if file.exists() else SiteConfig(timezone="UTC")


cameras = dg.DynamicPartitionsDefinition(name="cameras")
dates = dg.DailyPartitionsDefinition(
    start_date=dt.datetime.combine(site().history_from, dt.time()),
    timezone=site().timezone,
    # Today is a partition while it lasts.
    end_offset=1,
)
camera_days = dg.MultiPartitionsDefinition({"camera": cameras, "date": dates})

# Whoever is on camera when the day begins was seen first in a video of the day before.
this_day_and_the_day_before = dg.MultiPartitionMapping(
    {
        "camera": dg.DimensionPartitionMapping("camera", dg.IdentityPartitionMapping()),
        "date": dg.DimensionPartitionMapping(
            "date", dg.TimeWindowPartitionMapping(start_offset=-1, allow_nonexistent_upstream_partitions=True)
        ),
    }
)
all_cameras_of_the_day = dg.MultiToSingleDimensionPartitionMapping("date")


def camera_day_key(camera: str, date: dt.date) -> dg.MultiPartitionKey:
    """The partition key of a camera-day."""
    return dg.MultiPartitionKey({"camera": camera, "date": date.isoformat()})


def camera_and_date(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> tuple[str, dt.date]:
    """The camera and local date of the run's partition.

    Raises:
        Failure: it has none: somebody pressed Execute on a check, which Dagster asks no partition for.
    """
    if not context.has_partition_key:
        raise dg.Failure(
            "This check judges a camera-day and was started without one: materialize its asset for a camera-day, and"
            " the check runs with it.",
            allow_retries=False,
        )
    key = context.partition_key
    assert isinstance(key, dg.MultiPartitionKey)
    dimensions = key.keys_by_dimension
    return dimensions["camera"], dt.date.fromisoformat(dimensions["date"])
