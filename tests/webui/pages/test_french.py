"""The French translation is complete, and the compiled catalogue matches its source."""

import gettext
import re
import shutil
import subprocess
import sys

import pytest
from babel.messages.pofile import read_po
from django.conf import settings

import tracker.urls
from tests.webui.pages.test_access import TABLE, Scene
from tracker.api.errors import ApiError
from webui.error_texts import FOR_PROGRAMS, TEXTS

FOLDER = settings.BASE_DIR / "webui" / "locale" / "fr" / "LC_MESSAGES"
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")


@pytest.fixture(scope="module")
def messages():
    with (FOLDER / "django.po").open("rb") as file:
        return [message for message in read_po(file) if message.id]


def texts(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def test_everything_is_translated(messages):
    missing = [message.id for message in messages if message.fuzzy or not all(texts(message.string))]
    assert missing == []
    assert len(messages) > 100


def test_placeholders_are_kept(messages):
    for message in messages:
        wanted = set(PLACEHOLDER.findall(texts(message.id)[-1]))
        for text in texts(message.string):
            found = set(PLACEHOLDER.findall(text))
            # A singular may say "one" in words.
            assert found == wanted or (message.pluralizable and found < wanted), message.id


def test_the_compiled_catalogue_is_up_to_date(messages):
    with (FOLDER / "django.mo").open("rb") as file:
        shipped = gettext.GNUTranslations(file)._catalog
    for message in messages:
        for n, text in enumerate(texts(message.string)):
            key = texts(message.id)[0]
            assert shipped[(key, n) if message.pluralizable else key] == text, "run make messages"


@pytest.mark.skipif(shutil.which("xgettext") is None, reason="gettext is not installed: apt-get install gettext")
def test_the_catalogue_has_exactly_the_texts_of_the_code(messages, tmp_path):
    for name in ("accounts", "logs", "projects", "tasks", "workers", "templates", "tracker", "webui"):
        ignored = shutil.ignore_patterns("locale", "__pycache__", "assets")
        shutil.copytree(settings.BASE_DIR / name, tmp_path / name, ignore=ignored)
    (tmp_path / "locale").mkdir()
    command = [
        sys.executable,
        "-m",
        "django",
        "makemessages",
        "-l",
        "fr",
        "-v0",
        "--settings",
        "django.conf.global_settings",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    with (tmp_path / "locale" / "fr" / "LC_MESSAGES" / "django.po").open("rb") as file:
        used = {texts(message.id)[0] for message in read_po(file) if message.id}
    assert used == {texts(message.id)[0] for message in messages}


def subclasses(of):
    for one in of.__subclasses__():
        yield from subclasses(one)
        yield one


def test_all_error_texts_are_listed():
    assert tracker.urls
    told = {
        " ".join(error.__doc__.split()) for error in subclasses(ApiError) if error.__module__.split(".")[0] != "tests"
    }
    known = {*TEXTS, *FOR_PROGRAMS}
    assert {text for text in told if text not in known and text.partition(": ")[2] not in known} == set()


@pytest.mark.django_db
@pytest.mark.parametrize("address", sorted({address for address, posted, _ in TABLE if posted is None}))
def test_pages_open_in_french(address):
    scene = Scene("private")
    client = scene.client("tracker admin")
    client.cookies["django_language"] = "fr"
    response = scene.send(client, address, None)
    if response["Content-Type"].startswith("text/html") and response.status_code == 200:
        assert '<html lang="fr">' in response.content.decode()
        assert "Projets</a>" in response.content.decode()
