"""The Django project: settings, the API envelope, the embedded PostgreSQL, `serve` and the scheduler."""

__version__ = "0.1.0"
