"""The admin in a browser: scripts run under its content security policy, and bulk actions ask for confirmation."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import Manager

PAGES = (
    "/admin/",
    "/admin/projects/project/",
    "/admin/projects/project/{public}/change/",
    "/admin/projects/snapshot/",
    "/admin/tasks/task/",
    "/admin/tasks/task/?state=failed",
    "/admin/tasks/closedtask/",
    "/admin/workers/worker/",
    "/admin/workers/workeraccess/",
    "/admin/logs/logentry/",
    "/admin/accounts/user/",
)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
@pytest.mark.parametrize("address", PAGES)
def test_pages_open_without_errors(window, scene, address, width, scheme):
    browser = window(viewport={"width": width, "height": 844}, color_scheme=scheme).sign_in()
    page = browser.open(address.format(**scene))
    # Alpine has started: it removes x-cloak.
    page.wait_for_selector("html:not([x-cloak])")
    page.wait_for_selector("[role=main]")
    assert browser.overflow() == 0
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_all_matching_tasks_are_retried(site, window, worker, scene):
    ada = Manager(site)
    project = ada.post("/project/create", {"name": "Much to retry", "public": True})["id"]
    failing = worker("failing")
    failing.post("/project/request_access", {"project": project, "submit": True})
    ada.post(f"/project/accept_request/{project}/{failing.id}")
    failing.post("/task/bulk_submit", [{"project": project, "recipe": f"frame {n}"} for n in range(60)])
    while (answer := failing.get(f"/task/get/{project}"))["ok"]:
        failing.post("/task/release", {"task_id": answer["content"]["task"]["id"], "result": 1})

    browser = window().sign_in()
    page = browser.open(f"/admin/tasks/task/?state=failed&project={project}")
    page.locator("#action-toggle").check()
    page.get_by_text("Select all", exact=False).locator("visible=true").first.click()
    page.locator("select[name=action]").select_option(label="Retry failed tasks")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("60").first).to_be_visible()
    with page.expect_navigation():
        page.get_by_role("button", name="Retry failed tasks").click()
    page.goto(f"/projects/{project}/")
    expect(page.locator(".tile").first.locator("dd")).to_have_text("60")
