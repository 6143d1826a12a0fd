"""What may not run beside itself: names that `dagster.yaml` knows too."""

INFERENCE = "inference"
"""The pool of the steps that run a network over pictures. OpenVINO takes all cores by itself."""

INFERENCE_TAG = "pc/inference"
"""Stands on a queued run that has such steps; `dagster.yaml` limits how many of those go at once."""
