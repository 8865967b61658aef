"""Requests that no page of the admin makes."""

import pytest

from tests.webui.admin.conftest import LISTS

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", [*LISTS, "accounts/user"])
@pytest.mark.parametrize("selected", ["x", "", "-1", "1.5", "\0", "9" * 30])
def test_selected_row_without_an_id(client, tracker_admin, path, selected):
    client.force_login(tracker_admin)
    for more in ({}, {"confirmed": "yes"}):
        sent = {"action": "pause", "_selected_action": ["1", selected], **more}
        response = client.post(f"/admin/{path}/", sent)
        # A list without actions ignores them.
        assert response.status_code == (
            200 if path in ("projects/snapshot", "tasks/closedtask", "logs/logentry") else 400
        )


def test_no_autocompletion(client, tracker_admin):
    client.force_login(tracker_admin)
    query = "term=x&app_label=projects&model_name=project&field_name=chain"
    assert client.get(f"/admin/autocomplete/?{query}").status_code == 404
