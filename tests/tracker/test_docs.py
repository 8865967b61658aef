"""The documents name files that exist."""

import re

import pytest
from django.conf import settings


def test_each_promise_names_its_tests():
    text = (settings.BASE_DIR / "docs" / "security.md").read_text()
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (settings.BASE_DIR / name).is_file()] == []


@pytest.mark.parametrize(
    "path", ["README.md", "CONTRIBUTING.md", *(f"docs/{name}.md" for name in ("security", "deployment"))]
)
def test_links(path):
    document = settings.BASE_DIR / path
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []
