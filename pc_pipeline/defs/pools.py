"""What may not run beside itself: names that `dagster.yaml` knows too."""

INFERENCE = "inference"
"""The pool of the steps that run a network over pictures. OpenVINO takes all cores by itself."""
