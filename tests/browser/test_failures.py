"""A manager finds out why tasks fail, mends it, retries the tasks that failed for it, and sees them close."""

from playwright.sync_api import expect

from tests.browser.conftest import Manager

MISSING = 'Traceback (most recent call last):\n  File "render.py", line 7, in <module>\nFileNotFoundError: wood-{}.png'
MEMORY = "CUDA out of memory: tried to allocate {} MiB"


def fail_all(worker, project, message):
    """Leases all tasks there are and lets each fail with the message."""
    while (answer := worker.get(f"/task/get/{project}"))["ok"]:
        task = answer["content"]["task"]["id"]
        report = {"task_id": task, "result": 1, "message": message.format(task), "output": {"code": task}}
        assert worker.post("/task/release", report)["ok"]


def submit(worker, project, *recipes):
    tasks = [{"project": project, "recipe": recipe} for recipe in recipes]
    assert worker.post("/task/bulk_submit", tasks)["ok"]


def test_a_manager_finds_and_retries_what_failed(site, window, worker):
    ada = Manager(site)
    project = ada.post("/project/create", {"name": "Wooden floors", "public": True, "version": "v1"})["id"]
    attic, cellar = worker("attic-3"), worker("cellar-1")
    attic.post("/project/request_access", {"project": project, "submit": True})
    ada.post(f"/project/accept_request/{project}/{attic.id}")
    browser = window().sign_in()
    page = browser.open(f"/projects/{project}/")
    page.locator("#main").get_by_role("link", name="Failures", exact=True).click()
    expect(page.get_by_role("heading", name="Nothing has failed")).to_be_visible()

    submit(attic, project, *(f"floor {n}" for n in range(3)))
    fail_all(attic, project, MISSING)
    submit(attic, project, "ceiling")
    fail_all(cellar, project, MEMORY)
    # At once, not when the scheduler has counted them.
    page.reload()
    rows = page.locator("#failures tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("CUDA out of memory")
    expect(rows.nth(0)).to_contain_text("cellar-1")
    # The line of the traceback that tells.
    expect(rows.nth(1)).to_contain_text("FileNotFoundError: wood-")
    expect(rows.nth(1)).to_contain_text("attic-3")

    rows.nth(1).get_by_role("link").click()
    attempts = page.locator("#attempts tr")
    expect(attempts).to_have_count(3)
    attempts.nth(0).get_by_text("Output").click()
    expect(attempts.nth(0).get_by_text('{"code":')).to_be_visible()
    group = page.url
    # The task has a page, which leads back.
    attempts.nth(0).get_by_role("link").first.click()
    page.wait_for_url("**/tasks/*/")
    expect(page.get_by_text("floor 2")).to_be_visible()
    page.get_by_role("link", name="All that failed alike").click()
    page.wait_for_url(group)
    page.get_by_role("link", name="List them").click()
    page.wait_for_url("**/tasks/?failure=*")
    expect(page.locator("table.roomy tbody tr")).to_have_count(3)
    page.goto(group)

    page.get_by_role("link", name="Retry the failed tasks…").click()
    expect(page.get_by_text("3 tasks are affected.")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("link", name="Retry the failed tasks…").click()
    page.get_by_role("button", name="Retry the failed tasks").click()
    expect(page.get_by_text("3 tasks were changed.")).to_be_visible()
    expect(page.get_by_role("link", name="Retry the failed tasks…")).to_have_count(0)

    for _ in range(3):
        assert cellar.work(project)
    assert not cellar.work(project)
    page.get_by_role("link", name="Dashboard").click()
    browser.drawn()
    tiles = page.locator("#tiles")
    expect(tiles.locator(".tile", has_text="Closed").locator("dd")).to_have_text("3")
    expect(tiles.locator(".tile", has_text="Failed").locator("dd")).to_have_text("1")

    # What is over stays told, as long as its attempts are kept; only what is left can be acted on.
    page.locator("#main").get_by_role("link", name="Failures", exact=True).click()
    expect(rows).to_have_count(2)
    expect(rows.nth(1).locator("td").nth(1)).to_have_text("0", use_inner_text=True)
    rows.nth(0).get_by_role("link").click()
    page.get_by_role("link", name="Change the priority…").click()
    page.get_by_label("New priority").fill("5")
    page.get_by_role("button", name="Change the priority").click()
    expect(page.get_by_text("1 task was changed.")).to_be_visible()
    page.get_by_role("link", name="Delete the failed tasks…").click()
    page.get_by_role("button", name="Delete the failed tasks").click()
    expect(page.get_by_text("1 task was changed.")).to_be_visible()
    assert attic.get(f"/task/get/{project}")["content"]["reason"] == "empty"

    page.goto("/failures/")
    expect(page.get_by_role("link", name="Wooden floors")).to_have_count(2)
