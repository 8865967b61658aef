"""Tasks on which workers don't agree, and tasks that are delayed, as a manager comes upon them."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import Manager


def test_accept_one_of_three_results(site, window, worker, scene):
    ada = Manager(site)
    names = ["left <b>", "middle", "right"]
    workers = [worker(name) for name in names]
    name = f"Count stars {workers[0].id}"
    project = ada.post("/project/create", {"name": name, "public": True, "max_votes": 3})["id"]
    workers[0].post("/project/request_access", {"project": project, "submit": True})
    ada.post(f"/project/accept_request/{project}/{workers[0].id}")
    workers[0].post("/task/submit", {"project": project, "recipe": "how many?", "verification_count": 2})
    for number, one in enumerate(workers):
        task = one.get(f"/task/get/{project}")["content"]["task"]["id"]
        one.post("/task/release", {"task_id": task, "result": 0, "verification": number + 40})

    browser = window().sign_in()
    page = browser.open(f"/projects/{project}/")
    failures = page.locator("#failures")
    expect(failures).to_contain_text("disagreement")
    failures.get_by_role("link", name=str(task)).click()
    expect(page.locator(".card h2").first).to_contain_text("disagreement")
    offered = page.get_by_role("button", name="Accept this result")
    expect(offered).to_have_count(3)
    page.locator("tr", has_text="middle").get_by_role("button").click()
    expect(page.get_by_text("1 worker gave it · 2 gave others")).to_be_visible()
    expect(page.get_by_role("link", name="middle")).to_be_visible()
    page.get_by_role("button", name="Accept this result").click()
    expect(page.get_by_text("The result was accepted")).to_be_visible()
    expect(page.locator(".card h2").first).to_contain_text("closed")
    expect(page.get_by_text("outvoted")).to_have_count(2)
    expect(offered).to_have_count(0)
    assert ada.get(f"/task/status/{task}")["task"]["verification"] == 41


def test_run_a_delayed_task_now(site, window, worker, scene):
    ada, one = Manager(site), worker("patient")
    name = f"Wait for spring {one.id}"
    project = ada.post("/project/create", {"name": name, "public": True})["id"]
    one.post("/project/request_access", {"project": project, "submit": True})
    ada.post(f"/project/accept_request/{project}/{one.id}")
    one.post("/task/submit", {"project": project, "recipe": "sow", "delay": 86_400})
    assert one.get(f"/task/get/{project}")["content"]["reason"] == "delayed"

    browser = window().sign_in()
    page = browser.open(f"/projects/{project}/")
    browser.drawn()
    tile = page.locator(".tile", has=page.locator("dt", has_text=re.compile("^Delayed$")))
    expect(tile.locator("dd")).to_have_text("1")
    expect(page.locator("#states-text")).to_have_text("Done: 0%, Delayed: 1")
    page.locator(".tabs").get_by_role("link", name="Tasks").click()
    page.get_by_role("link", name="delayed", exact=True).click()
    expect(page.locator("tbody tr")).to_contain_text("ready at")
    page.locator("tbody a").first.click()
    expect(page.locator(".card h2").first).to_contain_text("delayed")
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("The task was changed.")).to_be_visible()
    expect(page.locator(".card h2").first).to_contain_text("ready")
    expect(page.get_by_role("button", name="Run now")).to_have_count(0)
    assert one.work(project)
