"""The implementation of `manage.py serve` and `run_scheduler`."""
