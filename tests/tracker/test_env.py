"""The readers of environment variables."""

import os
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from tracker import env

NAME = "TRACKER_TEST_VARIABLE"


@pytest.fixture(autouse=True)
def variable(monkeypatch):
    """Sets the variable; None unsets it."""

    def set_to(value):
        if value is None:
            monkeypatch.delenv(NAME, raising=False)
        else:
            monkeypatch.setenv(NAME, value)

    set_to(None)
    return set_to


@pytest.mark.parametrize(
    ("value", "read"), [(None, "default"), ("", ""), ("  ", ""), (" a b\n", "a b"), ("default", "default")]
)
def test_text(variable, value, read):
    variable(value)
    assert env.text(NAME, "default") == read


def test_text_without_a_default():
    assert env.text(NAME) == ""


@pytest.mark.parametrize("value", ["1", "true", "yes", "on", "TRUE", " On "])
@pytest.mark.parametrize("default", [True, False])
def test_flag_that_is_on(variable, value, default):
    variable(value)
    assert env.flag(NAME, default=default) is True


@pytest.mark.parametrize("value", ["0", "false", "no", "off", "OFF", "", "  "])
@pytest.mark.parametrize("default", [True, False])
def test_flag_that_is_off(variable, value, default):
    variable(value)
    assert env.flag(NAME, default=default) is False


@pytest.mark.parametrize("default", [True, False])
def test_flag_that_is_not_set(default):
    assert env.flag(NAME, default=default) is default


def test_flag_is_off_by_default():
    assert env.flag(NAME) is False


@pytest.mark.parametrize("value", ["2", "y", "enabled", "None", "-1"])
def test_invalid_flag(variable, value):
    variable(value)
    with pytest.raises(ImproperlyConfigured, match=f"^{NAME}: must be on or off, not '{value}'.$"):
        env.flag(NAME)


@pytest.mark.parametrize(
    ("value", "read"), [(None, 7), ("", 7), (" ", 7), ("0", 0), (" 12 ", 12), ("+3", 3), ("2147483647", 2147483647)]
)
def test_whole_number(variable, value, read):
    variable(value)
    assert env.whole_number(NAME, 7) == read


@pytest.mark.parametrize("value", ["-1", "2147483648", "1.0", "1e3", "0x10", "ten", "1,000", "9" * 5000])
def test_invalid_whole_number(variable, value):
    variable(value)
    with pytest.raises(ImproperlyConfigured, match=f"^{NAME}: must be a whole number from 0 to 2147483647, not '"):
        env.whole_number(NAME, 7)


@pytest.mark.parametrize(("value", "fits"), [("4", False), ("5", True), ("9", True), ("10", False)])
def test_range_includes_both_ends(variable, value, fits):
    variable(value)
    if fits:
        assert env.whole_number(NAME, 7, low=5, high=9) == int(value)
    else:
        with pytest.raises(ImproperlyConfigured, match="from 5 to 9"):
            env.whole_number(NAME, 7, low=5, high=9)


@pytest.mark.parametrize(
    ("value", "read"),
    [(None, ["a", "b"]), ("", []), (" , ,", []), ("x", ["x"]), (" x , y,,z ", ["x", "y", "z"]), ("x y", ["x y"])],
)
def test_listing(variable, value, read):
    variable(value)
    assert env.listing(NAME, "a,b") == read


def test_listing_without_a_default():
    assert env.listing(NAME) == []


@pytest.mark.parametrize(("value", "read"), [(None, ["warn"]), ("", []), ("info, warn", ["info", "warn"])])
def test_choices(variable, value, read):
    variable(value)
    assert env.choices(NAME, "warn", allowed=("info", "warn")) == read


@pytest.mark.parametrize("value", ["debug", "info,debug", "INFO", "info warn"])
def test_invalid_choice(variable, value):
    variable(value)
    with pytest.raises(ImproperlyConfigured, match=f"^{NAME}: '.*' is not one of info, warn.$"):
        env.choices(NAME, "warn", allowed=("info", "warn"))


@pytest.mark.parametrize(
    ("value", "read"), [(None, "5/m"), ("", ""), ("10/m", "10/m"), ("5/30s", "5/30s"), (" 1/h ", "1/h"), ("1/d", "1/d")]
)
def test_rate(variable, value, read):
    variable(value)
    assert env.rate(NAME, "5/m") == read


@pytest.mark.parametrize("value", ["10", "10/", "/m", "10/w", "-1/m", "1.5/m", "10/m,5/h", "10 / m", "10/minute"])
def test_invalid_rate(variable, value):
    variable(value)
    with pytest.raises(ImproperlyConfigured, match=f"^{NAME}: must be a rate such as 10/m"):
        env.rate(NAME, "5/m")


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (None, []),
        ("", []),
        ("10.0.0.7", ["10.0.0.7/32"]),
        ("10.0.0.7/8, ::1", ["10.0.0.0/8", "::1/128"]),
    ],
)
def test_networks(variable, value, read):
    variable(value)
    assert [str(network) for network in env.networks(NAME)] == read


@pytest.mark.parametrize("value", ["localhost", "10.0.0.7,proxy", "10.0.0.0/33", "10.0.0.7:80", "*"])
def test_invalid_network(variable, value):
    variable(value)
    with pytest.raises(ImproperlyConfigured, match=f"^{NAME}: '.*' is not an IP address or network.$"):
        env.networks(NAME)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (None, []),
        ("https://example.org", ["https://example.org"]),
        ("http://a:8080, https://*.b", ["http://a:8080", "https://*.b"]),
    ],
)
def test_origins(variable, value, read):
    variable(value)
    assert env.origins(NAME) == read


@pytest.mark.parametrize("value", ["example.org", "https://example.org/", "https://", "ftp://example.org", "*"])
def test_invalid_origin(variable, value):
    variable(value)
    with pytest.raises(ImproperlyConfigured, match=f"^{NAME}: '.*' is not an origin such as https://example.org.$"):
        env.origins(NAME)


def test_folder_is_created_for_its_owner_only(variable, tmp_path):
    variable(str(tmp_path / "a" / "b"))
    assert env.folder(NAME, tmp_path / "default") == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "default").exists()


@pytest.mark.parametrize("value", [None, "", " "])
def test_folder_that_is_not_set(variable, tmp_path, value):
    variable(value)
    assert env.folder(NAME, tmp_path / "default") == tmp_path / "default"
    assert (tmp_path / "default").is_dir()


def test_existing_folder_is_left_unchanged(variable, tmp_path):
    tmp_path.chmod(0o755)
    variable(str(tmp_path))
    assert env.folder(NAME, tmp_path / "default") == tmp_path
    assert tmp_path.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("below", ["file", "file/folder"])
def test_folder_that_can_not_be_created(variable, tmp_path, below):
    (tmp_path / "file").touch()
    variable(str(tmp_path / below))
    with pytest.raises(ImproperlyConfigured, match=f"^{NAME}: .* can't be created: "):
        env.folder(NAME, tmp_path / "default")


@pytest.mark.parametrize("value", [None, "", "postgres://me:secret@host:5432/tasks", "postgresql:///tasks?host=/tmp"])
def test_database_url(variable, value):
    variable(value)
    assert env.database_url(NAME) == (value or "")


@pytest.mark.parametrize(
    "value", ["mysql://host/tasks", "sqlite:///tasks", "postgres://host", "postgres://host/", "host/tasks", "tasks"]
)
def test_invalid_database_url(variable, value):
    variable(value)
    with pytest.raises(ImproperlyConfigured, match=f"^{NAME}: must be like postgres://") as caught:
        env.database_url(NAME)
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({}, "0 False"),
        ({"HSTS_SECONDS": "60"}, "0 False"),
        ({"BEHIND_TLS": "on"}, "604800 True"),
        ({"BEHIND_TLS": "on", "HSTS_SECONDS": "60"}, "60 True"),
        ({"BEHIND_TLS": "on", "HSTS_SECONDS": "0"}, "0 True"),
    ],
)
def test_hsts_only_behind_tls(tmp_path, env, told):
    program = "from django.conf import settings as s; print(s.SECURE_HSTS_SECONDS, s.SESSION_COOKIE_SECURE)"
    result = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tracker.settings", "TRACKER_DATA_DIR": str(tmp_path)} | env,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == told


@pytest.mark.parametrize(
    ("name", "value"), [("DEBUG", "maybe"), ("PORT", "0"), ("PORT", "65536"), ("LOG_KEEP_LEVELS", "loud")]
)
def test_invalid_setting_ends_a_command_with_one_line(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    result = subprocess.run(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "queue_status"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{name}: ")
    assert repr(value) in line
