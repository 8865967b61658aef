"""POST /project/update/:id."""

from functools import partial
from itertools import pairwise

import pytest

from projects.access import set_roles
from projects.models import Project
from projects.roles import ALL_ROLES, Role
from projects.services import update_project
from tests.client import Api
from tests.factories import ProjectFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def mine(manager):
    project = ProjectFactory(private=True, name="mine", motd="old", priority=3)
    set_roles(manager=manager, project=project, roles=Role.EDIT)
    return project


@pytest.fixture
def as_manager(manager):
    return Api().login(manager)


def update(api, project, **body):
    return api.post(f"/project/update/{project.pk}", body)


def stored(project):
    return Project.objects.values().get(pk=project.pk)


def test_it_works(as_manager, mine):
    before = stored(mine)
    changes = {
        "name": "new",
        "clone_url": "https://example.org/x.git",
        "git_repo": "a/b",
        "version": "2",
        "priority": 9,
        "motd": "",
        "hidden": True,
        "assign_rate": 1.5,
        "submit_rate": 2.0,
        "paused": True,
    }
    assert update(as_manager, mine, **changes).json == {"ok": True}
    assert stored(mine) == before | changes | {"name_key": "new"}


def test_message_of_the_day_is_bounded(as_manager, mine):
    """Each task comes with it. A longer one from before stays, also when it is sent back, until it is changed."""
    assert update(as_manager, mine, motd="€" * 3_333).ok
    answer = update(as_manager, mine, motd="€" * 3_334, paused=True)
    assert answer.status == 400
    assert answer.message.startswith("motd: must be at most 10,000 bytes")
    assert stored(mine)["paused"] is False
    Project.objects.filter(pk=mine.pk).update(motd="x" * 20_000)
    assert update(as_manager, mine, motd="x" * 20_000, paused=True).ok
    assert update(as_manager, mine, motd="x" * 19_999).status == 400
    assert (stored(mine)["motd"], stored(mine)["paused"]) == ("x" * 20_000, True)


def test_leases_of_a_worker(as_manager, mine):
    assert update(as_manager, mine, max_leases=7).ok
    assert as_manager.get(f"/project/get/{mine.pk}").content["max_leases"] == 7
    for value in (-1, 2**31, "5", True):
        answer = update(as_manager, mine, max_leases=value)
        assert (answer.status, answer.message.partition(":")[0]) == (400, "max_leases")
    assert stored(mine)["max_leases"] == 7


def test_longest_extension_of_a_lease(as_manager, mine):
    assert update(as_manager, mine, max_lease_seconds=90).ok
    assert as_manager.get(f"/project/get/{mine.pk}").content["max_lease_seconds"] == 90
    for value in (0, -1, 2**31, "5", True, 1.5):
        answer = update(as_manager, mine, max_lease_seconds=value)
        assert (answer.status, answer.message.partition(":")[0]) == (400, "max_lease_seconds")
    assert stored(mine)["max_lease_seconds"] == 90


def test_fields_that_are_not_sent_stay(as_manager, mine):
    before = stored(mine)
    assert update(as_manager, mine, paused=True).ok
    assert stored(mine) == before | {"paused": True}
    assert update(as_manager, mine).ok
    assert stored(mine) == before | {"paused": True}


@pytest.mark.parametrize("role", [Role(0), ALL_ROLES ^ Role.EDIT])
def test_needs_edit(as_manager, manager, mine, role):
    set_roles(manager=manager, project=mine, roles=role)
    before = stored(mine)
    assert update(as_manager, mine, motd="new").status == 403
    assert stored(mine) == before


def test_hidden_project_without_read_is_not_found(as_manager, manager):
    project = ProjectFactory(secluded=True)
    set_roles(manager=manager, project=project, roles=Role.SECRET)
    assert update(as_manager, project, motd="new").status == 404
    assert as_manager.post("/project/update/999999999", {}).status == 404


def test_only_tracker_admins_change_public(as_manager, mine, tracker_admin):
    assert update(as_manager, mine, public=True).status == 403
    assert update(as_manager, mine, public=False).ok
    admin = Api().login(tracker_admin)
    assert update(admin, mine, public=True).ok
    assert update(as_manager, mine, public=False).status == 403
    assert update(as_manager, mine, public=True, motd="x").ok


def test_public_and_hidden_exclude_each_other(as_manager, mine, tracker_admin):
    admin = Api().login(tracker_admin)
    assert update(admin, mine, public=True).ok
    answer = update(as_manager, mine, hidden=True)
    assert answer.status == 400
    assert answer.message.startswith("hidden: ")
    assert update(admin, mine, hidden=True, public=False).ok


def test_taken_name(as_manager, mine):
    ProjectFactory(name="theirs")
    assert update(as_manager, mine, name="theirs", motd="x").status == 409
    assert stored(mine)["motd"] == "old"
    assert update(as_manager, mine, name="mine").ok


def test_chain_is_set_and_cleared(as_manager, mine, manager):
    target = ProjectFactory()
    assert update(as_manager, mine, chain=target.pk).status == 403
    set_roles(manager=manager, project=target, roles=Role.EDIT)
    assert update(as_manager, mine, chain=target.pk).ok
    assert stored(mine)["chain_id"] == target.pk
    assert update(as_manager, mine, motd="x").ok
    assert stored(mine)["chain_id"] == target.pk
    assert update(as_manager, mine, chain=0).ok
    assert stored(mine)["chain_id"] is None


@pytest.mark.parametrize("length", [1, 2, 3, 30])
def test_chain_can_not_form_a_cycle(tracker_admin, length):
    admin = Api().login(tracker_admin)
    chain = [ProjectFactory() for _ in range(length)]
    for one, following in pairwise(chain):
        assert update(admin, one, chain=following.pk).ok
    answer = update(admin, chain[-1], chain=chain[0].pk)
    assert answer.status == 400
    assert answer.message.startswith("chain: ")
    assert stored(chain[-1])["chain_id"] is None


@pytest.mark.django_db(transaction=True)
def test_racing_updates_form_no_cycle(racing):
    admin = UserFactory(is_superuser=True)
    for _ in range(5):
        ring = [ProjectFactory() for _ in range(6)]
        outcomes = racing(
            [
                partial(update_project, manager=admin, project=one, chain_id=following.pk)
                for one, following in zip(ring, ring[1:] + ring[:1], strict=True)
            ]
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert len(refused) == 1
        assert "cycle" in str(refused[0])


@pytest.mark.parametrize("rate", [1.7976931348623157e308, 1e10, 2**62])
def test_a_rate_beyond_all_bounds_is_unlimited(api, tracker_admin, rate):
    project = ProjectFactory(assign_rate=1, submit_rate=1)
    answer = api.login(tracker_admin).post(f"/project/update/{project.pk}", {"assign_rate": rate, "submit_rate": rate})
    assert answer.status == 200
    content = api.get(f"/project/get/{project.pk}").content
    assert (content["assign_rate"], content["submit_rate"]) == (0, 0)


QUEUE_SETTINGS = {
    "retry_backoff": "exponential",
    "retry_seconds": 5,
    "retry_max_seconds": 604_800,
    "retry_jitter": 100,
    "max_votes": 9,
    "ageing_seconds": 86_400,
}


@pytest.mark.parametrize("new", [True, False])
def test_settings_of_the_queue(as_manager, mine, new):
    if new:
        answer = as_manager.post("/project/create", {"name": "waits"} | QUEUE_SETTINGS)
        project = Project.objects.get(name="waits")
    else:
        answer, project = update(as_manager, mine, **QUEUE_SETTINGS), mine
    assert answer.ok
    assert stored(project).items() >= QUEUE_SETTINGS.items()
    assert as_manager.get(f"/project/get/{project.pk}").content.items() >= QUEUE_SETTINGS.items()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retry_backoff", "square"),
        ("retry_backoff", ""),
        ("retry_backoff", 1),
        ("retry_seconds", 0),
        ("retry_seconds", 604_801),
        ("retry_max_seconds", 0),
        ("retry_max_seconds", 604_801),
        ("retry_jitter", -1),
        ("retry_jitter", 101),
        ("retry_jitter", 0.5),
        ("max_votes", -1),
        ("max_votes", 32_768),
        ("ageing_seconds", -1),
        ("ageing_seconds", 2**31),
    ],
)
def test_settings_of_the_queue_have_limits(as_manager, mine, name, value):
    before = stored(mine)
    answer = update(as_manager, mine, **{name: value})
    assert answer.status == 400
    assert answer.message.startswith(f"{name}: ")
    assert stored(mine) == before
