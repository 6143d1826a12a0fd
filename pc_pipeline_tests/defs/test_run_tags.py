"""The tags on runs are named in one place, and Dagster means the same by its own."""

import re

from dagster._core.storage import tags

from pc_pipeline import run_tags
from pc_pipeline.settings import CHECKOUT


def test_dagsters_tags_are_called_as_dagster_calls_them():
    mine = [run_tags.PARTITION, run_tags.BACKFILL, run_tags.PARENT_RUN, run_tags.ROOT_RUN]
    mine += [run_tags.WILL_RETRY, run_tags.PRIORITY]
    assert mine == [
        tags.PARTITION_NAME_TAG,
        tags.BACKFILL_ID_TAG,
        tags.PARENT_RUN_ID_TAG,
        tags.ROOT_RUN_ID_TAG,
        tags.WILL_RETRY_TAG,
        tags.PRIORITY_TAG,
    ]
    assert f"key: {run_tags.INFERENCE}\n" in (CHECKOUT / "dagster.yaml").read_text()


def test_no_other_file_names_them():
    names = [value for name, value in vars(run_tags).items() if name.isupper()]
    naming = re.compile("|".join(f"[\"']{name}[\"']" for name in names))
    found = {
        str(path.relative_to(CHECKOUT))
        for path in (CHECKOUT / "pc_pipeline").rglob("*.py")
        if naming.search(path.read_text())
    }
    assert found == {"pc_pipeline/run_tags.py"}
