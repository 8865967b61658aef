"""POST /project/request_access."""

import pytest

from projects.models import Project
from tests.client import Api
from tests.factories import ProjectFactory, grant
from workers.models import WorkerAccess
from workers.services import grant_access

pytestmark = pytest.mark.django_db

URL = "/project/request_access"
NOWHERE = 10**9


@pytest.fixture
def private(db):
    return ProjectFactory(private=True)


@pytest.fixture
def hidden(db):
    return ProjectFactory(secluded=True)


@pytest.fixture
def ask(api, worker):
    def ask(project, **wishes):
        number = project.pk if isinstance(project, Project) else project
        return api.post(URL, {"project": number} | wishes, worker=worker)

    return ask


def stored(project):
    """What is granted and what is requested."""
    access = WorkerAccess.objects.get(project=project)
    granted = [name for name in ("assign", "submit") if getattr(access, name)]
    wanted = [name for name in ("wants_assign", "wants_submit") if getattr(access, name)]
    return granted + wanted


def test_it_works(api, worker, private):
    answer = api.post(URL, {"assign": True, "submit": True, "project": private.pk}, worker=worker)
    assert answer.status == 200
    assert answer.json == {"ok": True}
    access = WorkerAccess.objects.get()
    assert (access.worker, access.project) == (worker.worker, private)
    assert (access.assign, access.submit, access.wants_assign, access.wants_submit) == (False, False, True, True)
    assert access.asked is not None


def test_api_prefix(api, worker, private):
    assert api.post(f"/api{URL}", {"project": private.pk, "assign": True}, worker=worker).status == 200


@pytest.mark.parametrize(
    ("wishes", "wanted"),
    [
        ({"assign": True}, ["wants_assign"]),
        ({"submit": True}, ["wants_submit"]),
        ({"assign": True, "submit": False}, ["wants_assign"]),
        ({"assign": False, "submit": True}, ["wants_submit"]),
        ({"assign": None, "submit": True}, ["wants_submit"]),
    ],
)
@pytest.mark.parametrize("kind", ["private", "secluded"])
def test_stores_what_is_asked_for(ask, kind, wishes, wanted):
    project = ProjectFactory(**{kind: True})
    assert ask(project, **wishes).status == 200
    assert stored(project) == wanted


def test_asking_grants_nothing(api, worker, private, ask):
    ask(private, assign=True, submit=True)
    assert api.post("/task/submit", {"project": private.pk, "recipe": "x"}, worker=worker).status == 403
    assert api.get(f"/task/get/{private.pk}", worker=worker).content == {"reason": "no_access"}
    assert api.get(f"/project/secret/{private.pk}", worker=worker).status == 403


@pytest.mark.parametrize("wishes", [{}, {"assign": False}, {"assign": False, "submit": False}, {"submit": None}])
@pytest.mark.parametrize("kind", ["public", "private", "secluded", None])
def test_one_of_the_two_must_be_true(ask, kind, wishes):
    project = ProjectFactory(**{kind: True}) if kind else NOWHERE
    answer = ask(project, **wishes)
    assert answer.status == 400
    assert "must be true" in answer.message
    assert not WorkerAccess.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("project", None),
        ("project", 0),
        ("project", -1),
        ("project", "1"),
        ("project", True),
        ("project", 1.0),
        ("project", 2**63),
        ("assign", 1),
        ("assign", "true"),
        ("assign", []),
        ("submit", 1),
        ("submit", ""),
    ],
)
def test_refuses_a_field(api, worker, private, field, value):
    answer = api.post(URL, {"project": private.pk, "assign": True, "submit": True} | {field: value}, worker=worker)
    assert answer.status == 400
    assert answer.message.startswith(f"{field}: ")
    assert not WorkerAccess.objects.exists()


@pytest.mark.parametrize("wishes", [{"assign": True}, {"submit": True}, {"assign": True, "submit": True}])
def test_asking_again(ask, private, wishes):
    assert ask(private, **wishes).status == 200
    row = WorkerAccess.objects.values().get()
    answer = ask(private, **wishes)
    assert answer.status == 400
    assert "already been asked" in answer.message
    assert WorkerAccess.objects.values().get() == row


def test_asking_for_less_than_before(ask, private):
    ask(private, assign=True, submit=True)
    assert ask(private, assign=True).status == 400
    assert ask(private, submit=True).status == 400


def test_asking_for_more_than_before(ask, private):
    ask(private, assign=True)
    assert ask(private, assign=True, submit=True).status == 200
    assert stored(private) == ["wants_assign", "wants_submit"]


def test_asking_one_after_the_other(ask, private):
    ask(private, assign=True)
    assert ask(private, submit=True).status == 200
    assert stored(private) == ["wants_assign", "wants_submit"]


@pytest.mark.parametrize(
    ("granted", "wishes"),
    [
        ({"assign": True}, {"assign": True}),
        ({"submit": True}, {"submit": True}),
        ({"submit": True}, {"assign": True}),
        ({"submit": True}, {"assign": True, "submit": True}),
        ({"assign": True, "submit": True}, {"assign": True, "submit": True}),
    ],
)
@pytest.mark.parametrize("kind", ["private", "secluded"])
def test_already_granted(ask, worker, kind, granted, wishes):
    project = ProjectFactory(**{kind: True})
    grant(worker, project, **granted)
    answer = ask(project, **wishes)
    assert answer.status == 400
    assert "already been granted" in answer.message
    assert stored(project) == list(granted)


@pytest.mark.parametrize("wishes", [{"submit": True}, {"assign": True, "submit": True}])
@pytest.mark.parametrize("kind", ["private", "secluded"])
def test_asks_for_submit_beside_assign(ask, worker, kind, wishes):
    project = ProjectFactory(**{kind: True})
    grant(worker, project, assign=True)
    answer = ask(project, **wishes)
    assert answer.json == {"ok": True}
    assert stored(project) == ["assign", "wants_submit"]


@pytest.mark.parametrize(
    "wishes",
    [
        {"submit": True},
        pytest.param(
            {"assign": True, "submit": True},
        ),
    ],
)
def test_asking_again_for_submit_beside_assign(ask, worker, private, wishes):
    grant(worker, private, assign=True)
    assert ask(private, **wishes).status == 200
    assert ask(private, **wishes).status == 400


def test_assign_in_a_public_project(ask, project):
    """Existing clients ask for it in every project, since it opens the project's secret."""
    assert ask(project, assign=True).json == {"ok": True}
    assert stored(project) == ["wants_assign"]
    answer = ask(project, assign=True)
    assert answer.status == 400
    assert "already been asked" in answer.message


def test_assign_granted_in_a_public_project(ask, worker, project):
    grant(worker, project, assign=True)
    assert "already been granted" in ask(project, assign=True).message
    assert ask(project, submit=True).json == {"ok": True}
    assert stored(project) == ["assign", "wants_submit"]


def test_assign_in_a_public_project_is_granted_by_a_manager(api, ask, worker, tracker_admin, project):
    project.secret = "secret"
    project.save()
    ask(project, assign=True)
    assert api.get(f"/project/secret/{project.pk}", worker=worker).status == 403
    as_admin = Api().login(tracker_admin)
    assert as_admin.get(f"/project/access_list/{project.pk}").content["accesses"][0]["request"]
    assert as_admin.post(f"/project/accept_request/{project.pk}/{worker.worker.pk}").ok
    assert api.get(f"/project/secret/{project.pk}", worker=worker).content == {"secret": "secret"}


@pytest.mark.parametrize("wishes", [{"submit": True}, {"assign": True, "submit": True}])
def test_submit_in_a_public_project(ask, project, wishes):
    assert ask(project, **wishes).json == {"ok": True}
    assert "wants_submit" in stored(project)
    assert ask(project, **wishes).status == 400


def test_submit_granted_in_a_public_project(ask, worker, project):
    grant(worker, project, submit=True)
    for wishes in ({"submit": True}, {"assign": True}, {"assign": True, "submit": True}):
        assert ask(project, **wishes).status == 400
    assert stored(project) == ["submit"]


def test_asking_again_after_a_refusal(ask, private):
    ask(private, assign=True)
    WorkerAccess.objects.update(wants_assign=False)
    assert ask(private, assign=True).status == 200
    assert stored(private) == ["wants_assign"]


def test_requests_of_other_workers_do_not_count(api, worker, other_worker, private):
    for one in (worker, other_worker):
        assert api.post(URL, {"project": private.pk, "assign": True}, worker=one).status == 200
    assert WorkerAccess.objects.filter(wants_assign=True).count() == 2


def test_grants_of_other_workers_do_not_count(ask, other_worker, private):
    grant(other_worker, private, submit=True)
    assert ask(private, assign=True).status == 200


def test_requests_in_other_projects_do_not_count(ask, private):
    ask(ProjectFactory(private=True), assign=True)
    assert ask(private, assign=True).status == 200


def test_paused_worker_and_paused_project(ask, worker):
    worker.worker.paused = True
    worker.worker.save()
    assert ask(ProjectFactory(private=True, paused=True), assign=True).status == 200


WISHES = [{"assign": True}, {"submit": True}, {"assign": True, "submit": True}, {}, {"assign": 1}]


@pytest.mark.parametrize("nowhere", [NOWHERE, 2**63 - 1])
def test_response_does_not_reveal_whether_a_hidden_project_exists(ask, hidden, nowhere):
    for wishes in WISHES * 3:
        there, not_there = ask(hidden, **wishes), ask(nowhere, **wishes)
        assert there.status == not_there.status
        assert there.response.content == not_there.response.content
        assert there.headers == not_there.headers
    assert WorkerAccess.objects.get().project == hidden


def test_hidden_project_after_a_refusal_is_still_hidden(ask, worker, hidden):
    grant(worker, hidden)
    for _ in range(2):
        assert ask(hidden, assign=True).response.content == ask(NOWHERE, assign=True).response.content


def test_hidden_project_whose_grant_was_revoked_is_hidden_again(ask, worker, hidden):
    access = grant(worker, hidden, assign=True)
    assert ask(hidden, assign=True).status == 400
    WorkerAccess.objects.filter(pk=access.pk).update(assign=False)
    assert ask(hidden, assign=True).response.content == ask(NOWHERE, assign=True).response.content


def test_request_for_a_hidden_project_is_kept(ask, hidden):
    answer = ask(hidden, assign=True)
    assert answer.status == 200
    assert answer.ok
    ask(hidden, submit=True)
    assert stored(hidden) == ["wants_assign", "wants_submit"]


def test_asking_does_not_make_a_hidden_project_visible(api, worker, ask, hidden):
    ask(hidden, assign=True)
    assert api.get(f"/task/get/{hidden.pk}", worker=worker).status == 404
    assert api.get(f"/project/get/{hidden.pk}", worker=worker).status == 404


def test_request_for_an_unknown_project_is_not_stored(ask):
    assert ask(NOWHERE, assign=True, submit=True).status == 200
    assert not WorkerAccess.objects.exists()


def test_needs_identity(api, private):
    assert api.post(URL, {"project": private.pk, "assign": True}).status == 401
    assert not WorkerAccess.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["private", "secluded"])
def test_asking_at_once(worker, racing, kind):
    project = ProjectFactory(**{kind: True})

    def ask_for(**wishes):
        return lambda: Api().post(URL, {"project": project.pk} | wishes, worker=worker).status

    statuses = racing([ask_for(assign=True), ask_for(submit=True)] * 3)
    assert set(statuses) <= {200, 400}
    assert 200 in statuses
    assert stored(project) == ["wants_assign", "wants_submit"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(5))
@pytest.mark.parametrize("kind", ["private", "secluded"])
def test_request_and_grant_at_once(worker, racing, kind, attempt):
    project = ProjectFactory(**{kind: True})
    status, access = racing(
        [
            lambda: Api().post(URL, {"project": project.pk, "assign": True}, worker=worker).status,
            lambda: grant_access(worker=worker.worker, project=project, assign=True, submit=False),
        ]
    )
    assert status in (200, 400)
    assert access.assign
    assert stored(project) == ["assign"]
