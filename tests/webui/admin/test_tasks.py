"""Tasks in the admin: search, and actions on the matching tasks."""

from functools import partial

import pytest
from django.db import connection, transaction

from projects.access import set_roles
from projects.roles import ALL_ROLES, Role
from tasks import maintenance, queue
from tasks.models import ClosedEntry, ClosedTask, Task
from tasks.queries import search
from tasks.queries.search import Criteria, State
from tests.factories import SOMEBODY, ProjectFactory, TaskFactory, register
from tests.webui.admin.conftest import Browser
from tracker import db

pytestmark = pytest.mark.django_db

LIST = "tasks/task/"
ACTIONS = ("retry", "run_now", "release", "set_priority", "delete")
FIELDS = {"set_priority": {"priority": "7"}}


@pytest.fixture
def mixed(project, worker):
    """Some tasks in each state, with repeated priorities. Ten are ready; two of them await verification."""
    TaskFactory.create_batch(4, project=project, priority=9)
    for _ in range(4):
        queue.lease(project=project, worker=worker.worker)
    for priority in (0, 1, 0, 1, 2, 0, 1, 0):
        TaskFactory(project=project, priority=priority)
    TaskFactory.create_batch(2, project=project, voters=[worker.worker.pk], votes=[5], verification_count=2)
    TaskFactory.create_batch(5, project=project, status=Task.Status.FAILED, retries=3, max_retries=3)
    return project


@pytest.fixture
def small(monkeypatch):
    """Pages, batches and bounds of a few rows."""
    from webui.admin.tasks import TaskAdmin

    monkeypatch.setattr(TaskAdmin, "list_per_page", 5)
    monkeypatch.setattr(maintenance, "BATCH", 2)


def state(project):
    tasks = project.tasks
    leased, failed = tasks.filter(assignee__isnull=False).count(), tasks.filter(status=2).count()
    return {"ready": tasks.count() - leased - failed, "leased": leased, "failed": failed}


BEFORE = {"ready": 10, "leased": 4, "failed": 5}


def ids(rows):
    return [row.pk for row in rows]


# --- Search ---


QUERIES = {
    "": 19,
    "project={project}": 19,
    "state=ready": 10,
    "state=leased": 4,
    "state=failed": 5,
    "state=awaiting": 2,
    "priority=1": 3,
    "state=ready&priority=0": 6,
    "age=younger-3600": 19,
    "age=older-3600": 0,
    "retries=3": 5,
    "q=recipe": 19,
    "worker=worker": 4,
    "worker={worker}": 4,
    "worker={worker}&state=awaiting": 0,
    "worker=nobody": 0,
}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("query", "number"), QUERIES.items())
def test_pagination_finds_every_task_once(scoped, mixed, worker, query, number):
    query = query.format(project=mixed.pk, worker=worker.worker.pk)
    found = ids(scoped.all_pages(f"{LIST}?{query}"))
    assert len(found) == number
    assert len(set(found)) == number


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize("bound", [1, 4, 1000])
@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize(
    ("conditions", "number"),
    [
        ({}, 24),
        ({"states": (State.READY,)}, 14),
        ({"states": (State.LEASED,)}, 5),
        ({"states": (State.FAILED,)}, 5),
        ({"states": (State.AWAITING,)}, 2),
        ({"states": (State.AWAITING, State.LEASED)}, 0),
        ({"priority": 0, "states": (State.READY,)}, 9),
        ({"text": "recipe", "older": -60.0}, 24),
        ({"text": "nothing"}, 0),
        ({"retries": 3}, 5),
    ],
)
def test_a_bounded_search_finds_every_task_once(mixed, worker, everywhere, bound, limit, conditions, number):
    other = ProjectFactory()
    TaskFactory(project=other, priority=9)
    queue.lease(project=other, worker=worker.worker)
    for priority in (0, 5, 0, 0):
        TaskFactory(project=other, priority=priority)
    criteria = Criteria([mixed.pk, other.pk], everywhere=everywhere, **conditions)
    found, after = [], None
    for _ in range(100):
        page = search.find(criteria, after=after, limit=limit, bound=bound)
        found += page.ids
        after = page.following
        if after is None:
            break
    assert after is None
    assert len(found) == number
    assert len(set(found)) == number
    assert search.count(criteria) == (search.count(criteria).by_project, True)
    assert search.count(criteria).total == number


@pytest.mark.usefixtures("small")
def test_pagination_over_several_projects(mixed, manager):
    other = ProjectFactory()
    TaskFactory.create_batch(5, project=other)
    TaskFactory.create_batch(2, project=ProjectFactory())
    for project in (mixed, other):
        set_roles(manager=manager, project=project, roles=Role.READ)
    browser = Browser(manager)
    assert len(set(ids(browser.all_pages(LIST)))) == 24
    assert len(set(ids(browser.all_pages(f"{LIST}?state=ready")))) == 15


def test_ready_tasks_are_listed_in_the_order_of_leasing(scoped, mixed, other_worker):
    found = ids(scoped.rows(f"{LIST}?state=ready"))
    leased = [queue.lease(project=mixed, worker=other_worker.worker).id for _ in range(10)]
    assert found == leased


def test_without_filters_the_newest_comes_first(admin, mixed):
    assert ids(admin.rows(LIST)) == sorted(ids(mixed.tasks.all()), reverse=True)


@pytest.mark.usefixtures("small", "mixed")
def test_going_back_page_by_page(admin):
    first = admin.client.get(f"/admin/{LIST}?priority=0").context["cl"]
    assert first.previous_query is None
    second = admin.client.get(f"/admin/{LIST}{first.next_query}").context["cl"]
    third = admin.client.get(f"/admin/{LIST}{second.next_query}").context["cl"]
    again = admin.client.get(f"/admin/{LIST}{third.previous_query}").context["cl"]
    assert ids(again.result_list) == ids(second.result_list)
    begin = admin.client.get(f"/admin/{LIST}{again.previous_query}").context["cl"]
    assert ids(begin.result_list) == ids(first.result_list)
    assert begin.previous_query is None
    assert ids(admin.rows(f"{LIST}{third.first_query}")) == ids(first.result_list)


def test_the_page_says_how_far_a_search_got(admin, mixed, monkeypatch):
    monkeypatch.setattr(search.find, "__kwdefaults__", {"after": None, "bound": 5})
    newest = max(ids(mixed.tasks.all()))
    page = admin.get(f"{LIST}?q=nothing")
    assert f"Searched 5 rows, down to {newest - 4}." in page
    assert "Search further" in page


@pytest.mark.parametrize(
    ("hash64", "query"),
    [(77, "77"), (-1, "-1"), (-1, str(2**64 - 1)), (-(2**63), str(2**63)), (2**63 - 1, str(2**63 - 1))],
)
def test_find_by_hash(scoped, project, foreign, hash64, query):
    task = TaskFactory(project=project, hash64=hash64)
    TaskFactory(project=project, hash64=5)
    TaskFactory(project=foreign, hash64=hash64)
    assert ids(scoped.rows(f"{LIST}?q={query}")) == [task.pk]


def test_find_by_id(scoped, mixed, foreign):
    task = mixed.tasks.first()
    assert ids(scoped.rows(f"{LIST}?q={task.pk}")) == [task.pk]
    assert ids(scoped.rows(f"{LIST}?q={task.pk}&state=failed")) == []
    assert ids(scoped.rows(f"{LIST}?q={TaskFactory(project=foreign).pk}")) == []
    assert ids(scoped.rows(f"{LIST}?q={2**70}")) == []


@pytest.mark.parametrize(
    ("query", "recipe"),
    [
        ("PRESS", "compress it"),
        ('"42"', "answer 42"),
        ("100%25", "at 100% of it"),
        ("a_b", "a_b"),
        ("%5Cx", r"back\xslash"),
    ],
)
def test_find_by_recipe(scoped, project, query, recipe):
    task = TaskFactory(project=project, recipe=recipe)
    TaskFactory(project=project, recipe="at 100 of it, axb")
    assert ids(scoped.rows(f"{LIST}?q={query}")) == [task.pk]


def test_a_project_out_of_scope_is_empty(scoped, mixed, foreign):
    TaskFactory(project=foreign)
    assert scoped.rows(f"{LIST}?project={foreign.pk}") == []


@pytest.mark.parametrize("query", ["priority=abc", "priority=99999", "state=x", "age=x", "retries=-1", "project=x"])
def test_an_invalid_filter_finds_nothing(admin, mixed, query):
    page = admin.client.get(f"/admin/{LIST}?{query}")
    assert page.status_code == 200
    assert page.context["cl"].result_list == []
    name = query.partition("=")[0]
    assert f"{name}: " in page.content.decode()
    admin.act(f"{LIST}?{query}", "delete", mixed.tasks.all()[:1], select_across="1")
    assert state(mixed) == BEFORE


@pytest.mark.usefixtures("small", "mixed")
def test_lists_take_few_queries(scoped, django_assert_max_num_queries):
    for query in ("", "state=ready", "q=nothing", "worker=worker"):
        with django_assert_max_num_queries(20):
            scoped.get(f"{LIST}?{query}")


# --- Actions ---


@pytest.mark.parametrize(
    ("action", "touched", "after"),
    [
        ("retry", 5, {"ready": 15, "leased": 4, "failed": 0}),
        ("release", 4, {"ready": 14, "leased": 0, "failed": 5}),
        ("set_priority", 19, BEFORE),
        ("delete", 19, {"ready": 0, "leased": 0, "failed": 0}),
    ],
)
@pytest.mark.usefixtures("small")
def test_actions_on_all_matching_tasks_of_every_page(scoped, mixed, action, touched, after):
    one = mixed.tasks.all()[:1]
    question = scoped.act(LIST, action, one, confirmed=False, select_across="1")
    assert f"{touched} task" in question.content.decode()
    assert question.context["rows"] == [(mixed.name, str(touched))]
    assert state(mixed) == BEFORE
    assert ("select_across", "1") in question.context["hidden"]
    answer = scoped.act(LIST, action, one, select_across="1", **FIELDS.get(action, {}))
    assert state(mixed) == after
    assert f"{touched} tasks were changed" in scoped.say(answer)
    if action == "retry":
        assert set(mixed.tasks.values_list("retries", flat=True)) == {0}
    if action == "set_priority":
        assert set(mixed.tasks.values_list("priority", flat=True)) == {7}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("state=failed", {"ready": 10, "leased": 4, "failed": 0}),
        ("state=ready", {"ready": 0, "leased": 4, "failed": 5}),
        ("state=awaiting", {"ready": 8, "leased": 4, "failed": 5}),
        ("priority=0", {"ready": 4, "leased": 4, "failed": 0}),
        ("retries=1", {"ready": 10, "leased": 4, "failed": 0}),
        ("worker=worker", {"ready": 10, "leased": 0, "failed": 5}),
        ("q=recipe", {"ready": 0, "leased": 0, "failed": 0}),
        ("q=nothing", BEFORE),
        ("age=older-3600", BEFORE),
    ],
)
def test_only_matching_tasks_are_changed(scoped, mixed, query, left):
    other = TaskFactory(project=ProjectFactory())
    path, one = f"{LIST}?{query}", mixed.tasks.all()[:1]
    counted = sum(BEFORE.values()) - sum(left.values())
    question = scoped.act(path, "delete", one, confirmed=False, select_across="1").content.decode()
    assert f">{counted} task" in question.replace("\n", "")
    scoped.act(path, "delete", one, select_across="1")
    assert state(mixed) == left
    assert Task.objects.filter(pk=other.pk).exists()


@pytest.mark.parametrize("action", ACTIONS)
def test_only_checked_tasks_are_changed(scoped, mixed, action):
    TaskFactory.create_batch(3, project=mixed, status=Task.Status.DELAYED, run_at="2200-01-01T00:00:00Z")
    delayed = mixed.tasks.filter(status=Task.Status.DELAYED)
    wanted = {
        "retry": mixed.tasks.filter(status=2),
        "run_now": delayed,
        "release": mixed.tasks.filter(assignee__isnull=False),
    }
    ticked = list(wanted.get(action, mixed.tasks.all())[:2])
    rest = mixed.tasks.exclude(pk__in=ids(ticked))
    before = list(rest.order_by("pk").values())
    scoped.act(LIST, action, ticked, **FIELDS.get(action, {}))
    assert list(rest.order_by("pk").values()) == before
    changed = Task.objects.filter(pk__in=ids(ticked))
    if action == "delete":
        assert not changed.exists()
    elif action == "set_priority":
        assert set(changed.values_list("priority", flat=True)) == {7}
    else:
        assert {(task.status, task.assignee_id) for task in changed} == {(1, None)}


def test_actions_on_a_tasks_page(scoped, mixed):
    failed = mixed.tasks.filter(status=2).first()
    url = f"tasks/task/{failed.pk}/act/retry/"
    assert "1 task" in scoped.get(url)
    assert "0 tasks" in scoped.get(f"tasks/task/{failed.pk}/act/release/")
    assert scoped.client.post(f"/admin/{url}", {"confirmed": "yes"})["Location"].endswith(f"/{failed.pk}/change/")
    failed.refresh_from_db()
    assert (failed.status, failed.retries) == (1, 0)
    # A forged select_across does not make it all tasks.
    url = f"/admin/tasks/task/{failed.pk}/act/delete/"
    gone = scoped.client.post(url, {"confirmed": "yes", "select_across": "1"})
    assert gone["Location"] == "/admin/tasks/task/"
    assert mixed.tasks.count() == 18


@pytest.mark.parametrize("priority", ["", "x", "40000", "1.5"])
def test_an_invalid_priority_is_asked_for_again(scoped, mixed, priority):
    page = scoped.act(LIST, "set_priority", mixed.tasks.all(), priority=priority)
    assert page.status_code == 200
    assert page.context["form"].errors
    assert not mixed.tasks.filter(priority=7).exists()


def test_retrying_leaves_others_alone(scoped, mixed):
    votes = list(mixed.tasks.exclude(status=2).order_by("pk").values())
    scoped.act(LIST, "retry", mixed.tasks.all())
    assert list(mixed.tasks.filter(pk__in=[one["id"] for one in votes]).order_by("pk").values()) == votes


def test_releasing_keeps_votes_and_ends_the_lease(scoped, api, project, worker):
    task = TaskFactory(project=project, voters=[SOMEBODY], votes=[2], verification_count=2)
    queue.lease(project=project, worker=worker.worker)
    scoped.act(LIST, "release", [task])
    assert api.post("/task/release", {"task_id": task.pk, "result": 0}, worker=worker).content == {"updated": False}
    task.refresh_from_db()
    assert (task.voters, task.votes, task.lease) == ([SOMEBODY], [2], None)


def test_deleted_tasks_are_neither_counted_nor_chained(scoped, mixed):
    mixed.chain = ProjectFactory()
    mixed.save()
    scoped.act(LIST, "delete", mixed.tasks.all())
    assert not Task.objects.exists()
    assert not ClosedTask.objects.exists()
    assert not ClosedEntry.objects.exists()


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("across", ["0", "1"])
def test_actions_require_maintenance(with_roles, mixed, action, across):
    browser = with_roles(ALL_ROLES ^ Role.MAINTENANCE)
    before = list(mixed.tasks.order_by("pk").values())
    # The action is not offered, and a forged request is refused.
    assert action not in browser.get(LIST).partition('name="action"')[2].partition("</select>")[0]
    browser.act(LIST, action, mixed.tasks.all(), select_across=across, **FIELDS.get(action, {}))
    one = mixed.tasks.first()
    url = f"/admin/tasks/task/{one.pk}/act/{action}/"
    answer = browser.client.post(url, {"confirmed": "yes", **FIELDS.get(action, {})})
    assert "requires the role MAINTENANCE" in browser.say(answer)
    assert list(mixed.tasks.order_by("pk").values()) == before


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("across", ["0", "1"])
def test_one_forbidden_project_blocks_the_whole_action(with_roles, mixed, manager, action, across):
    other = ProjectFactory(name="only to look at")
    set_roles(manager=manager, project=other, roles=Role.READ)
    TaskFactory(project=other, status=Task.Status.FAILED)
    before = list(Task.objects.order_by("pk").values())
    browser = with_roles(ALL_ROLES)
    answer = browser.act(LIST, action, Task.objects.all(), select_across=across, **FIELDS.get(action, {}))
    said = browser.say(answer)
    assert "Nothing was changed" in said
    assert "only to look at" in said
    assert list(Task.objects.order_by("pk").values()) == before
    # On the project that the manager may change, the action works.
    browser.act(f"{LIST}?project={mixed.pk}", "delete", mixed.tasks.all()[:1], select_across="1")
    assert list(Task.objects.values_list("project", flat=True)) == [other.pk]


@pytest.mark.parametrize("action", ACTIONS)
def test_tasks_out_of_scope_can_not_be_changed(scoped, foreign, worker, action):
    TaskFactory(project=foreign, priority=1)
    queue.lease(project=foreign, worker=worker.worker)
    failed = TaskFactory(project=foreign, status=Task.Status.FAILED)
    before = list(foreign.tasks.order_by("pk").values())
    scoped.act(LIST, action, foreign.tasks.all(), **FIELDS.get(action, {}))
    scoped.act(f"{LIST}?project={foreign.pk}", action, foreign.tasks.all(), select_across="1", **FIELDS.get(action, {}))
    scoped.client.post(f"/admin/tasks/task/{failed.pk}/act/{action}/", {"confirmed": "yes", **FIELDS.get(action, {})})
    assert list(foreign.tasks.order_by("pk").values()) == before


def test_tasks_are_not_edited(admin, mixed):
    task = mixed.tasks.first()
    response = admin.client.post(f"/admin/tasks/task/{task.pk}/change/", {"recipe": "another"})
    assert response.status_code == 403
    admin.get("tasks/task/add/", status=403)
    admin.get(f"tasks/task/{task.pk}/delete/", status=403)
    assert 'name="recipe"' not in admin.get(f"tasks/task/{task.pk}/change/")


def test_a_long_count_is_stopped_and_says_so(scoped, mixed, monkeypatch):
    monkeypatch.setattr(search, "COUNTED", 4)
    page = scoped.act(LIST, "delete", mixed.tasks.all()[:1], confirmed=False, select_across="1").content.decode()
    assert "at least 4 tasks" in page
    assert "Counting was stopped" in page


# --- Concurrent changes ---


@pytest.fixture
def criteria(mixed):
    return Criteria([mixed.pk])


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("job", ["delete_matching", "retry_matching"])
def test_tasks_that_arrive_meanwhile_are_left_alone(mixed, criteria, monkeypatch, job):
    plain = search.find_all

    def find_all(*args, **options):
        for found in plain(*args, **options):
            if not Task.objects.filter(recipe="late").exists():
                TaskFactory(project=mixed, recipe="late", status=Task.Status.FAILED, retries=1)
            yield found

    monkeypatch.setattr(search, "find_all", find_all)
    getattr(maintenance, job)(criteria)
    assert Task.objects.get(recipe="late").status == Task.Status.FAILED


def test_tasks_that_no_longer_match_are_left_alone(mixed, criteria, monkeypatch, worker):
    ready = criteria._replace(states=(State.READY,))
    plain = search.find_all

    def find_all(*args, **options):
        found = list(plain(*args, **options))
        # Between the search and the change, one is leased.
        queue.lease(project=mixed, worker=worker.worker)
        yield from found

    monkeypatch.setattr(search, "find_all", find_all)
    assert maintenance.retry_matching(criteria) == 5
    monkeypatch.setattr(search, "find_all", find_all)
    before = mixed.tasks.filter(assignee__isnull=False).count()
    maintenance.delete_matching(ready)
    assert mixed.tasks.filter(assignee__isnull=False).count() > before


@pytest.mark.parametrize(
    "job", [maintenance.delete_matching, partial(maintenance.set_priority_of_matching, priority=7)]
)
def test_tasks_that_the_first_pass_missed_are_changed(mixed, criteria, monkeypatch, job):
    plain, passes = search.find_all, []

    def find_all(*args, **options):
        passes.append(args)
        # As if all tasks were leased or released during the first pass, so that the search misses them.
        if len(passes) > 1:
            yield from plain(*args, **options)

    monkeypatch.setattr(search, "find_all", find_all)
    assert job(criteria) == 19
    assert len(passes) == 2


def test_a_hard_reset_leaves_nothing_behind(mixed, monkeypatch):
    plain, calls = db.affected, []

    def affected(statement, values):
        calls.append(statement)
        # As if each task was being leased when the first statement reached it.
        return plain(statement, values) if len(calls) > 1 else 0

    monkeypatch.setattr(db, "affected", affected)
    assert maintenance.delete_all(project=mixed) == 19
    assert not mixed.tasks.exists()


@pytest.mark.usefixtures("small")
def test_leases_given_since_it_began_are_kept(mixed, criteria, monkeypatch, other_worker):
    plain = search.find_all
    with transaction.atomic():
        Task.objects.filter(assignee__isnull=False).update(assign_time="2020-01-01T00:00:00Z")

    def find_all(*args, **options):
        one = mixed.tasks.filter(assignee=None, status=1).first()
        Task.objects.filter(pk=one.pk).update(
            assignee=other_worker.worker,
            lease="0" * 32,
            assign_time="2100-01-01T00:00:00Z",
            lease_expires="2100-01-02T00:00:00Z",
        )
        yield from plain(*args, **options)

    monkeypatch.setattr(search, "find_all", find_all)
    assert maintenance.release_matching(criteria) == 4
    assert list(mixed.tasks.exclude(assignee=None).values_list("assignee", flat=True)) == [other_worker.worker.pk]


@pytest.mark.django_db(transaction=True)
def test_deleting_all_matching_tasks_beside_busy_workers(racing, monkeypatch):
    monkeypatch.setattr(maintenance, "BATCH", 3)
    project = ProjectFactory()
    TaskFactory.create_batch(60, project=project, max_retries=1000)
    first = set(project.tasks.values_list("pk", flat=True))

    def work(worker):
        for turn in range(40):
            task = queue.lease(project=project, worker=worker)
            if task is not None:
                queue.release(
                    worker=worker, task_id=task.id, result=queue.Result.FAIL if turn % 2 else queue.Result.SKIP
                )
            queue.store_many(project=project, tasks=[queue.NewTask(recipe="new")])

    calls = [partial(work, register().worker) for _ in range(4)]
    outcomes = racing([*calls, partial(maintenance.delete_matching, Criteria([project.pk]))])
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert not first & set(project.tasks.values_list("pk", flat=True))


@pytest.mark.django_db(transaction=True)
def test_leasing_skips_the_rows_that_a_batch_has_locked(racing):
    project, worker = ProjectFactory(), register().worker
    high, low = TaskFactory(project=project, priority=9), TaskFactory(project=project)
    values = Criteria([project.pk]).values() | {"found": [high.pk], "new_priority": 3}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(maintenance.SET_PRIORITY, values)
        (leased,) = racing([partial(queue.lease, project=project, worker=worker)])
    assert leased.id == low.pk
