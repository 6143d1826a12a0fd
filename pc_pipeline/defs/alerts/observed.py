"""What Dagster's own storage says that is worth an alert: checks and runs that failed and were not made good."""

import datetime as dt
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status

from pc_pipeline import run_tags
from pc_pipeline.alerts.evaluate import Observed
from pc_pipeline.alerts.judge import FailedCheck, FailedRun

# These have a kind of alert of their own.
_OWN_KIND = ("coverage_is_usual", "unknown_share_is_usual")
# Records are read in pages, and so many of a check, or runs, at most: beyond them what failed counts as failed still.
_PAGE, _MOST = 200, 2000
_LONGEST = 500


def observe(
    instance: dg.DagsterInstance, checks: list[dg.AssetCheckKey], zone: ZoneInfo, oldest: dt.datetime
) -> Observed:
    """The checks that fail for a recent partition, and the runs that failed, from `oldest` on."""
    found = [failed for key in checks if key.name not in _OWN_KIND for failed in _failing(instance, key, zone, oldest)]
    return Observed(found, _failed_runs(instance, oldest))


# ----------------------------------------------------------------------------------------------------------- checks


def _failing(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey, zone: ZoneInfo, oldest: dt.datetime
) -> list[FailedCheck]:
    """The partitions of the last days whose latest result is a failure. Days of long ago that a backfill judges now are
    history."""
    latest: dict[str, AssetCheckExecutionRecord] = {}
    for record in _records(instance, key, Status.FAILED, oldest):
        partition = _partition(record)
        if _is_recent(partition, oldest.astimezone(zone).date()):
            latest.setdefault(partition, record)
    if not latest:
        return []
    unsure = set(latest)
    first = min(record.id for record in latest.values())
    for record in _records(instance, key, Status.SUCCEEDED, oldest):
        if record.id < first or not unsure:
            break
        partition = _partition(record)
        if partition in unsure:
            unsure.discard(partition)
            if record.id > latest[partition].id:
                del latest[partition]
    return [_failed_check(key, partition, record) for partition, record in latest.items()]


def _records(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey, status: Status, oldest: dt.datetime
) -> Iterator[AssetCheckExecutionRecord]:
    """A check's results of one kind, the latest first, back to `oldest`."""
    cursor = None
    for _ in range(_MOST // _PAGE):
        page = instance.event_log_storage.get_asset_check_execution_history(key, _PAGE, cursor, {status})
        for record in page:
            if record.event is None or record.event.timestamp < oldest.timestamp():
                return
            yield record
        if len(page) < _PAGE:
            return
        cursor = page[-1].id


def _partition(record: AssetCheckExecutionRecord) -> str:
    """What was judged, as the check's result says it: a check has no partitions of its own."""
    value = record.evaluation.metadata.get("partition") if record.evaluation else None
    return str(value.value) if value else ""


def _is_recent(partition: str, since: dt.date) -> bool:
    """Whether a partition is a day from `since` on; a check without partitions speaks of now."""
    dates = [part for whole in partition.split(", ") for part in whole.split("|") if _is_date(part)]
    return not partition or any(dt.date.fromisoformat(date) >= since for date in dates)


def _is_date(text: str) -> bool:
    try:
        return bool(dt.date.fromisoformat(text))
    except ValueError:
        return False


def _failed_check(key: dg.AssetCheckKey, partition: str, record: AssetCheckExecutionRecord) -> FailedCheck:
    assert record.event and record.evaluation
    names = [part for part in partition.split(", ")[0].split("|") if part and not _is_date(part)]
    at = dt.datetime.fromtimestamp(record.event.timestamp, dt.UTC)
    says = record.evaluation.description or "see its metadata."
    shown = partition.replace("|", " ") or key.asset_key.to_user_string()
    return FailedCheck(key.name, names[0] if names else "", shown, at, _short(says))


# ------------------------------------------------------------------------------------------------------------- runs


def _failed_runs(instance: dg.DagsterInstance, oldest: dt.datetime) -> list[FailedRun]:
    """Runs that failed since, are not tried again by themselves, and whose partition no later run has made."""
    failed = instance.get_run_records(
        dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=oldest), limit=_MOST
    )
    latest: dict[tuple[str, str], dg.RunRecord] = {}
    for record in failed:
        run = record.dagster_run
        if run.tags.get(run_tags.WILL_RETRY) != "true":
            latest.setdefault(_made(run), record)
    for job in {job for job, _ in latest}:
        for made, storage_id in _last_successes(instance, job, {key for key in latest if key[0] == job}, oldest):
            if made in latest and storage_id > latest[made].storage_id:
                del latest[made]
    sentences = {job: _why(instance, record) for job, record in _last_of_each_job(latest).items()}
    return [
        FailedRun(job, partition, record.dagster_run.run_id, _ended(record), sentences[job])
        for (job, partition), record in latest.items()
    ]


def _made(run: dg.DagsterRun) -> tuple[str, str]:
    # A run of hidden assets from the UI has a job without a name of its own.
    job = "materialize" if run.job_name.startswith("__") else run.job_name
    return job, run.tags.get(run_tags.PARTITION, "")


def _last_successes(
    instance: dg.DagsterInstance, job: str, keys: set[tuple[str, str]], oldest: dt.datetime
) -> Iterator[tuple[tuple[str, str], int]]:
    partitions = sorted(partition for _, partition in keys if partition)
    name = None if job == "materialize" else job
    done = [dg.DagsterRunStatus.SUCCESS]
    for first in range(0, len(partitions), _PAGE):
        tags = {run_tags.PARTITION: partitions[first : first + _PAGE]}
        of_these = dg.RunsFilter(job_name=name, statuses=done, tags=tags, updated_after=oldest)
        for record in instance.get_run_records(of_these, limit=_MOST):
            yield _made(record.dagster_run), record.storage_id
    if ("" in {partition for _, partition in keys}) and name:
        for record in instance.get_run_records(dg.RunsFilter(job_name=name, statuses=done), limit=1):
            yield (job, ""), record.storage_id


def _last_of_each_job(failed: dict[tuple[str, str], dg.RunRecord]) -> dict[str, dg.RunRecord]:
    last: dict[str, dg.RunRecord] = {}
    for (job, _), record in failed.items():
        if job not in last or _ended(record) > _ended(last[job]):
            last[job] = record
    return last


def _ended(record: dg.RunRecord) -> dt.datetime:
    ended = record.end_time or record.update_timestamp.timestamp()
    return dt.datetime.fromtimestamp(ended, dt.UTC)


def _why(instance: dg.DagsterInstance, record: dg.RunRecord) -> str:
    """The sentence a step failed with; of another error its kind alone, since its text may hold anything."""
    failures = instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    for entry in failures:
        data = entry.dagster_event.step_failure_data if entry.dagster_event else None
        if data and data.user_failure_data and data.user_failure_data.description:
            return _short(data.user_failure_data.description)
        if data and data.error:
            kind = (data.error.cause or data.error).cls_name
            return f"{kind} in {entry.dagster_event.step_key if entry.dagster_event else 'a step'}; see the run's log."
    return "its process ended, or it never began; see the run's log."


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
