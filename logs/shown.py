"""How log entries are written for people."""

from datetime import UTC, datetime


def moment(timestamp: int) -> str:
    """A worker's time in Unix seconds, which may be any number, in UTC."""
    try:
        return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(timestamp)
