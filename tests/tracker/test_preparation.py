"""What is done before a version runs. Its migrations and its part in a reload: tests/flows."""

import os
import time

import pytest
from django.core.management import call_command

from tracker.serve import preparation


@pytest.fixture
def root(settings, tmp_path):
    """The folder for static files, with the storage of a tracker that runs."""
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
    }
    return settings.STATIC_ROOT


@pytest.fixture
def few_files(settings, tmp_path):
    """Only one static file, whose content the test sets."""
    folder = tmp_path / "assets"
    folder.mkdir()
    settings.STATICFILES_DIRS = [folder]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]

    def write(content):
        (folder / "style.css").write_text(content)
        # Two changes of a file may come within one tick of the clock.
        os.utime(folder / "style.css", (len(content), len(content)))

    return write


def names(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_collects_once(root, few_files, monkeypatch):
    few_files("a {}")
    preparation.collect_static_files()
    first = names(root)
    assert {"style.css", "staticfiles.json", ".collected"} < first
    assert any(name.startswith("style.") and name.count(".") == 2 for name in first)
    calls = []
    monkeypatch.setattr(preparation, "call_command", lambda *_, **__: calls.append(1))
    preparation.collect_static_files()
    assert calls == []
    assert not root.with_name("static.new").exists()


def test_files_of_the_version_before_stay_for_a_week(root, few_files):
    few_files("a {}")
    preparation.collect_static_files()
    before = names(root)
    few_files("a { b: c }")
    preparation.collect_static_files()
    assert before < names(root)
    gone = {name for name in before if name.startswith("style.") and name.count(".") == 2}
    for name in gone:
        os.utime(root / name, (0, time.time() - preparation.KEEP_SECONDS - 60))
    few_files("a { b: d  }")
    preparation.collect_static_files()
    assert gone.isdisjoint(names(root))
    assert "style.css" in names(root)


def test_interrupted_collection_is_begun_again(root, few_files, monkeypatch):
    few_files("a {}")

    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(preparation, "_move_over", fail)
        with pytest.raises(KeyboardInterrupt):
            preparation.collect_static_files()
    preparation.collect_static_files()
    assert "staticfiles.json" in names(root)


@pytest.mark.django_db(transaction=True)
def test_command(root, few_files):
    few_files("a {}")
    call_command("prepare", "--check-code")
    assert ".collected" in names(root)
