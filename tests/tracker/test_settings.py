"""A wrong setting ends every command, `serve` included, at once, with one line that names it."""

import os
import re
import runpy
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from tests.processes import PATIENCE_SECONDS

NUMBERS = (
    *("PORT", "STOP_SECONDS", "WEB_PROCESSES", "WEB_DATABASE_CONNECTIONS", "WEB_THREADS", "WEB_QUEUE"),
    *("WEB_QUEUE_SECONDS", "CLIENT_HEAD_SECONDS", "CLIENT_BODY_SECONDS", "CLIENT_UNREAD_SECONDS"),
    *("CLIENT_IDLE_SECONDS", "CLIENT_CONNECTIONS", "CLIENT_CONNECTIONS_PER_ADDRESS", "EMPTY_RETRY_AFTER"),
    *("SNAPSHOT_SECONDS", "SNAPSHOT_KEEP_HOURS", "LOG_KEEP_DAYS", "HSTS_SECONDS", "WEB_WAITING"),
    *("MAX_OUTPUT_BYTES", "MAX_RECIPE_BYTES", "MAX_BATCH_BYTES"),
    *("MAX_BODY_BYTES", "MAX_WEBHOOK_BODY_BYTES", "MAX_BULK_BODY_BYTES"),
)
FLAGS = ("DEBUG", "BEHIND_TLS", "REGISTRATION_OPEN", "LOGS_PUBLIC")
RATES = (
    "LOGIN_RATE",
    "LOGIN_NAME_RATE",
    "REGISTER_RATE",
    "WORKER_CREATE_DAILY_RATE",
    "LOG_BYTES_RATE",
    "WORKER_CREATE_RATE",
    "LOG_RATE",
)
WRONG = [
    *((name, value) for name in NUMBERS for value in ("abc", "-1", "1.5", "2147483648")),
    *((name, value) for name in FLAGS for value in ("maybe", "2")),
    *((name, value) for name in RATES for value in ("10", "ten/m", "10/w", "10/0s", "9999999999/m", "10/m;")),
    ("TRACKER_DATA_DIR", "/dev/null/folder"),
    ("TRACKER_DATA_DIR", "/dev/null"),
    *(
        ("DATABASE_URL", value)
        for value in ("mysql://h/d", "h/d", "postgres://h", "postgres://[h/d", "postgres://h:x/d")
    ),
    ("DATABASE_URL", "postgres://h:70000/d"),
    *(("CACHE_URL", value) for value in ("here", "http://h", "redis://", "redis://[h", "redis://h:port/0")),
    *(("TRUSTED_PROXIES", value) for value in ("proxy", "10.0.0.0/40", "10.0.0.1 10.0.0.2")),
    *(("TRUSTED_ORIGINS", value) for value in ("example.org", "https://[", "https://example.org:port")),
    ("LOG_KEEP_LEVELS", "loud"),
    *(("LOG_FILE", value) for value in ("/no/such/folder/log", "/tmp", "/dev/null/log")),
    ("EMBEDDED_POSTGRES_OPTIONS", "-c 'x=1"),
]
# Whatever is in them may be right. A HOST that can't be listened on is reported by `serve`.
ANY_TEXT = {"HOST", "ALLOWED_HOSTS", "SECRET_KEY"}


def read_settings():
    return runpy.run_path(str(settings.BASE_DIR / "tracker" / "settings.py"))


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_wrong_setting(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=rf"\A{name}: [^\n]+\.\Z") as caught:
        read_settings()
    # A password may be in it.
    assert name != "DATABASE_URL" or value not in str(caught.value)


def test_package_that_a_setting_needs(monkeypatch):
    monkeypatch.setenv("CACHE_URL", "redis://localhost:6379/0")
    monkeypatch.setattr("tracker.env.importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ImproperlyConfigured, match=r"^CACHE_URL: the package redis is not installed: pip install redis.$"
    ):
        read_settings()
    monkeypatch.setattr("tracker.env.importlib.util.find_spec", lambda name: name)
    assert read_settings()["CACHES"]["default"]["LOCATION"] == "redis://localhost:6379/0"


@pytest.mark.parametrize("content", [None, ""], ids=["unreadable", "empty"])
def test_secret_key_that_can_not_be_used(monkeypatch, tmp_path, content):
    monkeypatch.setenv("TRACKER_DATA_DIR", str(tmp_path))
    path = tmp_path / "secret_key"
    # Not even root can read a folder as a file.
    path.mkdir() if content is None else path.write_text(content)
    with pytest.raises(ImproperlyConfigured, match=r"\ASECRET_KEY: [^\n]+\.\Z"):
        read_settings()


def read_names():
    """The variables that the code reads."""
    source = (settings.BASE_DIR / "tracker" / "settings.py").read_text()
    return set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source))


def test_every_setting_is_tried():
    assert read_names() == {name for name, _ in WRONG} | ANY_TEXT


def test_every_setting_is_described():
    readme = (settings.BASE_DIR / "README.md").read_text()
    table = readme.split("\n## Settings\n")[1].split("\n## ")[0]
    described = {name for line in table.splitlines() for name in re.findall(r"`([A-Z_]+)`", line.split(" | ")[0])}
    assert described == read_names()


def test_only_the_settings_read_the_environment():
    files = [*settings.BASE_DIR.glob("*.py"), *(settings.BASE_DIR / "tracker").rglob("*.py")]
    reading = {
        path.name for path in files if re.search(r"\bfrom tracker import .*\benv\b|tracker\.env", path.read_text())
    }
    assert reading == {"settings.py"}


def serve(folder, **env):
    """The exit code and the error output of `serve`, which doesn't try again."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "CACHE_URL")}
    result = subprocess.run(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "serve", "--port", "0"],
        env=kept | {"TRACKER_DATA_DIR": str(folder)} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert result.stdout == ""
    return result.returncode, result.stderr


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("WEB_THREADS", "abc", "WEB_THREADS: must be a whole number from 1 to 1000, not 'abc'."),
        ("WEB_PROCESSES", "0", "WEB_PROCESSES: must be a whole number from 1 to 256, not '0'."),
        ("STOP_SECONDS", "4", "STOP_SECONDS: must be a whole number from 5 to 3600, not '4'."),
        ("LOGIN_RATE", "1/0s", "LOGIN_RATE: must be a rate "),
        ("HOST", "no.such.host.invalid", "set PORT or HOST."),
        ("HOST", "x" * 64, "set PORT or HOST."),
        ("DATABASE_URL", "postgres://127.0.0.1:1/tracker", "DATABASE_URL: the database can't be used: "),
        ("DATABASE_URL", "postgres:///tracker?host=/tmp&nonsense=1", "DATABASE_URL: the database can't be used: "),
        ("DATABASE_URL", "postgres:///tracker?host=/no/such/folder", "DATABASE_URL: the database can't be used: "),
    ],
)
def test_serve_says_so_and_starts_nothing(tmp_path, name, value, said):
    code, errors = serve(tmp_path, **{name: value})
    assert code == 1
    (line,) = errors.splitlines()
    assert said in line
    assert not (tmp_path / "postgres").exists()


def test_option_that_the_embedded_database_does_not_know(tmp_path):
    code, errors = serve(tmp_path, EMBEDDED_POSTGRES_OPTIONS="-c nonsense=1")
    assert code == 1
    assert "does not start; correct EMBEDDED_POSTGRES_OPTIONS or set DATABASE_URL" in errors.splitlines()[0]
    assert "Traceback" not in errors
