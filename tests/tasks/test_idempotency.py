"""Calls with an Idempotency-Key: a repeated one gets the first answer, and has no second effect."""

import pytest

from tasks.models import Task
from tests.factories import TaskFactory

pytestmark = pytest.mark.django_db

KEY = {"Idempotency-Key": "a1b2"}


def test_it_works(api, project, worker):
    TaskFactory.create_batch(2, project=project)
    first = api.get(f"/task/get/{project.pk}", worker=worker, headers=KEY)
    again = api.get(f"/task/get/{project.pk}", worker=worker, headers=KEY)
    assert first.content["task"]["id"]
    assert again.response.content == first.response.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert Task.objects.filter(assignee=worker.worker).count() == 1
