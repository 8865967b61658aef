"""/projects/new/, /projects/7/edit/, pause/ and secrets/."""

import pytest

from projects.access import roles_of, set_roles
from projects.models import Project
from projects.roles import ALL_ROLES, Role
from tests.factories import ProjectFactory

pytestmark = pytest.mark.django_db

FIELDS = {
    "name": "Render",
    "priority": 0,
    "assign_rate": 0,
    "submit_rate": 0,
    "lease_seconds": 60,
    "max_lease_seconds": 86_400,
    "max_leases": 0,
    "max_expiries": 0,
    "retention_days": 7,
    "ageing_seconds": 0,
    "max_votes": 0,
    "retry_backoff": "none",
    "retry_seconds": 60,
    "retry_max_seconds": 3600,
    "retry_jitter": 0,
}


def errors(response):
    assert response.status_code == 400
    return response.context["form"].errors


def edit_url(project):
    return f"/projects/{project.pk}/edit/"


def send(client, url, shown=None, **changes):
    """What a browser sends: the form as it was opened, with some fields changed."""
    form = (shown or client.get(url)).context["form"]
    fields = {bound.name: bound.value() for bound in form if bound.value() is not None and bound.value() is not False}
    shown_fields = {
        bound.html_initial_name: bound.value()
        for bound in form
        if bound.value() is not None and bound.value() is not False
    }
    return client.post(url, shown_fields | fields | changes)


def test_create(browser, manager):
    motd = {"motd": "two\nlines", "hidden": "on", "git_repo": "a/b"}
    response = browser(manager).post("/projects/new/", FIELDS | motd)
    project = Project.objects.get()
    assert response["Location"] == f"/projects/{project.pk}/"
    assert (project.name, project.hidden, project.public, project.lease_seconds) == ("Render", True, False, 60)
    assert project.motd.split() == ["two", "lines"]
    assert roles_of(manager, project) == ALL_ROLES


def test_public_requires_a_tracker_admin(browser, manager, admin):
    browser(manager).post("/projects/new/", FIELDS | {"public": "on"})
    assert not Project.objects.get().public
    admin.post("/projects/new/", FIELDS | {"name": "other", "public": "on"})
    assert Project.objects.get(name="other").public


def test_errors_are_shown_at_their_field(admin, project):
    assert "name" in errors(admin.post("/projects/new/", FIELDS | {"name": ""}))
    assert "name" in errors(admin.post("/projects/new/", FIELDS | {"name": project.name}))
    assert "hidden" in errors(admin.post("/projects/new/", FIELDS | {"public": "on", "hidden": "on"}))
    for field, value in (
        ("assign_rate", "-1"),
        ("assign_rate", "inf"),
        ("lease_seconds", 0),
        ("retention_days", 10**6),
        ("max_lease_seconds", "0"),
        ("max_lease_seconds", str(2**31)),
        ("max_leases", "-1"),
        ("max_expiries", "-1"),
        ("max_expiries", "32768"),
        ("motd", "€" * 3_334),
        ("retry_backoff", "square"),
        ("retry_backoff", ""),
        ("retry_seconds", "0"),
        ("retry_seconds", "604801"),
        ("retry_max_seconds", "0"),
        ("retry_max_seconds", "604801"),
        ("retry_jitter", "101"),
        ("retry_jitter", "-1"),
        ("max_votes", "32768"),
        ("max_votes", "-1"),
        ("ageing_seconds", "-1"),
        ("ageing_seconds", str(2**31)),
    ):
        assert field in errors(admin.post("/projects/new/", FIELDS | {field: value})), (field, value)
    assert Project.objects.count() == 1


def test_edit(browser, manager, project):
    client = browser(manager, project, Role.EDIT)
    assert client.get(edit_url(project)).context["form"]["name"].value() == project.name
    response = client.post(edit_url(project), FIELDS | {"name": "New name", "public": ""})
    assert response["Location"] == edit_url(project)
    project.refresh_from_db()
    # Only a tracker admin may change `public`, so it stays.
    assert (project.name, project.lease_seconds, project.public) == ("New name", 60, True)


def test_retries_votes_and_ageing(browser, manager, project):
    client = browser(manager, project, Role.EDIT)
    shown = client.get(edit_url(project))
    assert '<option value="linear">Linear: longer by the first delay each time</option>' in shown.content.decode()
    changes = {
        "retry_backoff": "exponential",
        "retry_seconds": 5,
        "retry_max_seconds": 604_800,
        "retry_jitter": 100,
        "max_votes": 9,
        "ageing_seconds": 600,
    }
    assert send(client, edit_url(project), **changes).status_code == 302
    assert Project.objects.values(*changes).get(pk=project.pk) == changes


def test_a_long_message_of_the_day_stays_until_it_is_changed(browser, manager, project):
    Project.objects.filter(pk=project.pk).update(motd="x" * 20_000)
    client = browser(manager, project, Role.EDIT)
    sent = FIELDS | {"motd": "x" * 20_000, "initial-motd": "x" * 20_000, "max_leases": 5}
    assert client.post(edit_url(project), sent).status_code == 302
    project.refresh_from_db()
    assert (len(project.motd), project.max_leases) == (20_000, 5)
    assert "motd" in errors(client.post(edit_url(project), sent | {"motd": "y" * 20_000}))


def test_edit_refused_changes_nothing(browser, manager, project):
    taken = ProjectFactory(name="taken")
    client = browser(manager, project, Role.EDIT)
    assert "name" in errors(client.post(edit_url(project), FIELDS | {"name": "taken"}))
    project.refresh_from_db()
    assert project.name != "taken"
    assert taken.name == "taken"


def test_chain_offers_projects_with_edit(browser, manager, project):
    mine, other = ProjectFactory(), ProjectFactory()
    client = browser(manager, project, Role.EDIT)
    browser(manager, mine, Role.EDIT)
    offered = client.get(edit_url(project)).context["form"].fields["chain"].queryset
    assert list(offered) == [mine]
    assert "chain" in errors(send(client, edit_url(project), chain=other.pk))
    send(client, edit_url(project), chain=mine.pk)
    project.refresh_from_db()
    assert project.chain == mine
    send(client, edit_url(project), chain="")
    project.refresh_from_db()
    assert project.chain is None


def test_chain_can_not_be_circular(admin, project):
    following = ProjectFactory(chain=project)
    assert "chain" in errors(admin.post(edit_url(project), FIELDS | {"chain": following.pk}))
    project.refresh_from_db()
    assert project.chain is None


def test_chain_to_a_project_without_edit_stays_when_the_rest_is_saved(browser, manager, project):
    foreign = ProjectFactory()
    project.chain = foreign
    project.save()
    client = browser(manager, project, Role.EDIT)
    assert send(client, edit_url(project), motd="new").status_code == 302
    project.refresh_from_db()
    assert (project.chain, project.motd) == (foreign, "new")


def test_a_new_projects_chain_offers_only_ones_own_projects(browser, manager):
    ProjectFactory(name="secret merger", secluded=True)
    ProjectFactory(name="somebody's")
    mine = ProjectFactory(name="mine")
    page = browser(manager, mine, Role.EDIT).get("/projects/new/")
    assert list(page.context["form"].fields["chain"].queryset) == [mine]
    assert "secret merger" not in page.content.decode()


def test_a_hidden_chain_looks_like_none(browser, manager, project):
    project.chain = ProjectFactory(name="secret merger", secluded=True)
    project.save()
    page = browser(manager, project, Role.EDIT).get(edit_url(project))
    assert "secret merger" not in page.content.decode()
    assert "which you may not see" not in page.content.decode()
    assert page.context["form"]["chain"].value() is None


def test_a_hidden_chain_that_one_may_choose_is_shown_by_its_id(browser, manager, project):
    hidden = ProjectFactory(name="secret merger", secluded=True)
    set_roles(manager=manager, project=hidden, roles=Role.EDIT)
    page = browser(manager, project, Role.EDIT).get(edit_url(project)).content.decode()
    assert "secret merger" not in page
    assert f"project {hidden.pk}, which you may not see" in page


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("assign_rate", "-1"),
        ("submit_rate", "1e10"),
        ("assign_rate", "1e-12"),
        ("lease_seconds", "0"),
        ("lease_seconds", "9999999999"),
        ("retention_days", "1000000"),
        ("priority", "99999999999"),
        ("name", "a\nb"),
        ("name", "\u200b"),
    ],
)
def test_edit_validates_values(admin, project, field, value):
    before = getattr(project, field)
    assert field in errors(send(admin, edit_url(project), **{field: value}))
    project.refresh_from_db()
    assert getattr(project, field) == before


def test_a_version_that_a_push_has_set_meanwhile_stays(admin, project):
    shown = admin.get(edit_url(project))
    Project.objects.filter(pk=project.pk).update(version="pushed")
    assert send(admin, edit_url(project), shown, motd="new").status_code == 302
    project.refresh_from_db()
    assert (project.version, project.motd) == ("pushed", "new")


def test_line_breaks_are_stored_as_lf(admin, secretive):
    admin.post(f"/projects/{secretive.pk}/secrets/", {"secret": "-----BEGIN\r\nkey\r\n"})
    send(admin, edit_url(secretive), motd="one\r\ntwo")
    secretive.refresh_from_db()
    assert (secretive.secret, secretive.motd) == ("-----BEGIN\nkey\n", "one\ntwo")


@pytest.mark.parametrize("posted", [{}, {"do": "typo"}])
def test_a_secret_that_is_not_sent_is_not_erased(admin, secretive, posted):
    assert admin.post(f"/projects/{secretive.pk}/secrets/", posted).status_code == 400
    secretive.refresh_from_db()
    assert (secretive.secret, secretive.webhook_secret) == ("the workers' secret", "the-webhook-secret")


def test_edit_without_read_in_a_hidden_project_redirects_to_a_visible_page(browser, manager):
    hidden = ProjectFactory(secluded=True)
    client = browser(manager, hidden, Role.EDIT)
    assert client.post(f"/projects/{hidden.pk}/pause/", follow=True).status_code == 200


def test_pause_and_resume(browser, manager, project):
    client = browser(manager, project, Role.EDIT)
    for part, expected in (("pause", True), ("pause", True), ("resume", False)):
        assert client.post(f"/projects/{project.pk}/{part}/").status_code == 302
        project.refresh_from_db()
        assert project.paused is expected


@pytest.fixture
def secretive():
    return ProjectFactory(secret="the workers' secret", webhook_secret="the-webhook-secret")


def test_secrets_are_sent_only_when_asked_for(browser, manager, secretive):
    client = browser(manager, secretive, Role.SECRET)
    url = f"/projects/{secretive.pk}/secrets/"
    page = client.get(url).content.decode()
    assert "workers&#x27; secret" not in page
    assert "the-webhook-secret" not in page
    assert "http://testserver/git/receivehook" in page
    shown = client.post(url, {"do": "show"})
    assert "workers&#x27; secret" in shown.content.decode()
    assert "the-webhook-secret" in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]


def test_secrets_are_on_no_other_page(admin, secretive):
    for part in ("", "edit/", "permissions/", "start/", "console/"):
        page = admin.get(f"/projects/{secretive.pk}/{part}").content.decode()
        assert "workers&#x27; secret" not in page
        assert "the-webhook-secret" not in page


def test_secrets_are_changed_one_at_a_time(admin, secretive):
    url = f"/projects/{secretive.pk}/secrets/"
    assert admin.post(url, {"secret": " kept as it is \n"}).status_code == 302
    secretive.refresh_from_db()
    assert secretive.secret == " kept as it is \n"
    assert secretive.webhook_secret == "the-webhook-secret"
    admin.post(url, {"webhook_secret": "another"})
    secretive.refresh_from_db()
    assert secretive.webhook_secret == "another"
    assert admin.post(url, {"webhook_secret": "x" * 1001}).status_code == 200
    secretive.refresh_from_db()
    assert secretive.webhook_secret == "another"


def test_rotate_the_webhook_secret(admin, secretive):
    admin.post(f"/projects/{secretive.pk}/secrets/", {"do": "rotate"})
    rotated = Project.objects.get(pk=secretive.pk).webhook_secret
    assert rotated != "the-webhook-secret"
    assert len(rotated) > 40


def test_a_pasted_webhook_secret_has_no_blanks_at_its_ends(admin, secretive):
    admin.post(f"/projects/{secretive.pk}/secrets/", {"webhook_secret": " pasted \n"})
    secretive.refresh_from_db()
    assert secretive.webhook_secret == "pasted"
