import io
from collections.abc import Callable

import pytest
from django.core.management import call_command

from tests.client import Api


@pytest.fixture
def api(both_doors: Api) -> Api:
    return both_doors


@pytest.fixture
def manage() -> Callable[..., str]:
    """Runs a command and returns what it prints."""

    def run(*arguments: object) -> str:
        output = io.StringIO()
        call_command(*map(str, arguments), stdout=output)
        return output.getvalue()

    return run
