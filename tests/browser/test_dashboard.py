"""The dashboard of a project that has just begun, and of one that is finished."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import Manager


def tile(page, label):
    return page.locator(".tile", has=page.locator("dt", has_text=re.compile(f"^{label}$"))).locator("dd")


def begin(site, worker, name, tasks):
    """A new public project with so many tasks, and a worker that may submit."""
    ada = Manager(site)
    project = ada.post("/project/create", {"name": name, "public": True, "version": "v7"})["id"]
    submitter = worker("attic-3")
    submitter.post("/project/request_access", {"project": project, "submit": True})
    ada.post(f"/project/accept_request/{project}/{submitter.id}")
    recipes = [{"project": project, "recipe": f"{n}", "max_retries": 1} for n in range(tasks)]
    assert submitter.post("/task/bulk_submit", recipes)["ok"]
    return project, submitter


def fail(worker, project, message):
    task = worker.get(f"/task/get/{project}")["content"]["task"]["id"]
    assert worker.post("/task/release", {"task_id": task, "result": 1, "message": message, "reason": "error"})["ok"]
    return task


def test_numbers_of_the_first_minute(site, window, worker, scene):
    """They appear with the first closing: no snapshot of the project has been taken yet."""
    project, attic = begin(site, worker, "Just begun", 4)
    browser = window().sign_in()
    page = browser.open(f"/projects/{project}/")
    browser.drawn()
    expect(tile(page, "Rate, last minute")).to_have_text("–")
    expect(tile(page, "Done in")).to_have_text("–")
    expect(page.locator("#failures")).to_have_text("No task has failed.")
    assert attic.work(project)
    browser.refresh()
    expect(tile(page, "Rate, last minute")).to_have_text(re.compile(r"[\d.]+ /min"))
    expect(tile(page, "Rate, last hour")).to_have_text(re.compile(r"[\d.]+ /min"))
    expect(tile(page, "Done in")).to_have_text(re.compile(r"\d+ s|\d+ min"))
    expect(page.locator("#ended-text")).to_have_text("Closed: 1, Failed attempts: 0, Expired leases: 0")
    expect(page.locator("#timeline")).to_have_attribute("data-state", "drawn")


def test_all_parts_tell_of_the_same_moment(site, window, worker, scene):
    """A failure is on the tile, in the ring, in the chart and among the recent ones after the same refresh."""
    project, attic = begin(site, worker, "Fails at once", 4)
    browser = window().sign_in()
    page = browser.open(f"/projects/{project}/")
    browser.drawn()
    task = fail(attic, project, "no such frame\nTraceback: long")
    browser.refresh()
    expect(tile(page, "Failed")).to_have_text("1")
    expect(page.locator("#states-text")).to_have_text("Done: 0%, Ready: 3, Failed: 1")
    expect(page.locator("#ended-text")).to_have_text("Closed: 0, Failed attempts: 1, Expired leases: 0")
    row = page.locator("#failures tbody tr")
    expect(row).to_have_count(1)
    for text in ("attic-3", "error", "v7", "no such frame"):
        expect(row).to_contain_text(text)
    expect(row).not_to_contain_text("Traceback")
    # One request has brought all of it.
    assert not [address for address in browser.requests if "/numbers/" in address]
    row.get_by_role("link", name=str(task)).click()
    page.wait_for_url(f"**/tasks/{task}/")


def test_a_finished_project_is_done(site, window, worker, scene):
    project, attic = begin(site, worker, "Finished", 3)
    while attic.work(project):
        pass
    browser = window()
    page = browser.open(f"/projects/{project}/")
    browser.drawn()
    expect(page.locator("#states-text")).to_have_text("Done: 100%, Closed: 3")
    expect(tile(page, "Closed")).to_have_text("3")
    assert page.get_by_text("Recent failures").count() == 0
