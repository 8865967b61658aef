"""From a project's workers to the one that fails: its page, pausing it and putting back what it did."""

from playwright.sync_api import expect

from tests.browser.conftest import Manager


def scenery(site, worker):
    """A project in which one worker fails, and has closed two tasks. Returns the project's id, and both workers."""
    ada = Manager(site)
    project = ada.post("/project/create", {"name": f"Grow crystals {worker('x').id}", "public": True})["id"]
    bad, good = worker("rusty <b>"), worker("shiny")
    bad.post("/project/request_access", {"project": project, "submit": True})
    ada.post(f"/project/accept_request/{project}/{bad.id}")
    tasks = [{"project": project, "recipe": f"crystal {n}", "max_retries": 99} for n in range(60)]
    bad.post("/task/bulk_submit", tasks)
    for one, failed in ((bad, 28), (good, 0)):
        ids = [task["id"] for task in one.get(f"/task/get/{project}?count=30")["content"]["tasks"]]
        failures = [{"task_id": pk, "result": 1, "message": "out of <i>salt</i>"} for pk in ids[:failed]]
        one.post("/task/bulk_release", [*failures, *({"task_id": pk, "result": 0} for pk in ids[failed:])])
    bad.get(f"/task/get/{project}")
    return project, bad, good


def test_the_one_that_fails(site, window, worker, scene):
    project, bad, good = scenery(site, worker)
    browser = window().sign_in()
    page = browser.open(f"/projects/{project}/")
    page.locator(".tabs").get_by_role("link", name="Workers").click()
    expect(page.locator("#figures tr")).to_have_count(2)
    expect(page.locator("#figures tr").first).to_contain_text("shiny")
    expect(page.locator("#figures .mark.bad")).to_have_text(["fails often"])
    page.get_by_role("link", name="Lost").click()
    expect(page.locator("#figures tr").first).to_contain_text("rusty <b>")
    expect(page.locator("#figures tr").first).to_contain_text("93 %")
    page.get_by_role("link", name="All time").click()
    expect(page.locator("th[aria-sort]")).to_have_text("Lost")
    page.get_by_role("link", name="rusty <b>").click()
    expect(page.get_by_role("heading", name="rusty <b>")).to_be_visible()
    expect(page.locator("#leases tr")).to_have_count(1)
    expect(page.locator("#attempts tr")).to_have_count(28)
    expect(page.locator("#attempts tr").first).to_contain_text("out of <i>salt</i>")
    page.get_by_role("button", name="Pause the worker").click()
    expect(page.locator("h1").get_by_text("paused")).to_be_visible()
    assert "paused" in bad.get(f"/task/get/{project}")["message"]

    page.get_by_role("link", name="Put back what it did").click()
    expect(page.get_by_text("2 tasks that it closed alone are opened again.")).to_be_visible()
    expect(page.get_by_role("button", name="Put back its votes")).to_be_disabled()
    page.get_by_role("button", name="Put back what it closed").click()
    expect(page.get_by_text("2 tasks are open again.")).to_be_visible()
    expect(page.get_by_role("button", name="Put back what it closed")).to_be_disabled()
    assert len(good.get(f"/task/get/{project}?count=100")["content"]["tasks"]) == 29
    page.get_by_role("link", name="rusty <b>").click()
    expect(page.locator("#figures td.number").first).to_have_text("0")
    page.get_by_role("button", name="Resume the worker").click()
    expect(page.locator("h1").get_by_text("paused")).to_have_count(0)


def test_on_a_phone(site, window, worker, scene):
    project, bad, _ = scenery(site, worker)
    browser = window(viewport={"width": 390, "height": 800}, color_scheme="dark").sign_in()
    for path in (f"/projects/{project}/workers/", f"/workers/{bad.id}/", f"/workers/{bad.id}/put-back/{project}/"):
        browser.open(path)
        assert browser.overflow() <= 0, path
