"""What `manage.py serve` and `run_scheduler` are made of."""
