"""The documents name files that exist."""

import re

import pytest
from django.conf import settings


@pytest.mark.parametrize(("document", "least"), [("security", 20), ("guarantees", 2)])
def test_each_promise_names_its_tests(document, least):
    text = (settings.BASE_DIR / "docs" / f"{document}.md").read_text()
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text))
    assert len(named) >= least
    assert [name for name in sorted(named) if not (settings.BASE_DIR / name).is_file()] == []


@pytest.mark.parametrize(
    "path", ["README.md", "CONTRIBUTING.md", *(f"docs/{name}.md" for name in ("security", "deployment", "guarantees"))]
)
def test_links(path):
    document = settings.BASE_DIR / path
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []
