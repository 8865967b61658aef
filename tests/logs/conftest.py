import pytest

from tests.client import Api


@pytest.fixture
def api(both_doors: Api) -> Api:
    return both_doors
