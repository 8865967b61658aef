"""The URLs of the pages. They end with a slash; those of the API do not."""

from django.urls import path
from django.views.i18n import set_language

from webui.pages import (
    accounts,
    dashboard,
    failures,
    logs,
    managers,
    permissions,
    projects,
    requests,
    results,
    task,
    task_list,
    tasks,
    worker,
    workers,
)

urlpatterns = [
    path("projects/", projects.project_list),
    path("projects/new/", projects.create),
    path("projects/<number:project_id>/", dashboard.dashboard),
    path("projects/<number:project_id>/numbers/", dashboard.numbers),
    path("projects/<number:project_id>/start/", dashboard.start),
    path("projects/<number:project_id>/edit/", projects.edit),
    path("projects/<number:project_id>/pause/", projects.pause, {"paused": True}),
    path("projects/<number:project_id>/resume/", projects.pause, {"paused": False}),
    path("projects/<number:project_id>/secrets/", projects.secrets),
    path("projects/<number:project_id>/permissions/", permissions.permissions),
    path("projects/<number:project_id>/permissions/decide/", requests.decide_many),
    path("projects/<number:project_id>/permissions/grant/", permissions.grant),
    path("projects/<number:project_id>/permissions/roles/", permissions.roles),
    path("projects/<number:project_id>/permissions/<number:worker_id>/accept/", permissions.decide, {"accept": True}),
    path("projects/<number:project_id>/permissions/<number:worker_id>/reject/", permissions.decide, {"accept": False}),
    path("projects/<number:project_id>/failures/", failures.project_failures),
    path("projects/<number:project_id>/failures/<str:key>/", failures.failure),
    *(
        path(f"projects/<number:project_id>/failures/<str:key>/{part}/", failures.act, {"part": part})
        for part in failures.DEEDS
    ),
    path("projects/<number:project_id>/console/", tasks.console),
    path("projects/<number:project_id>/reset-failed/", tasks.maintain, {"chore": tasks.RESET_FAILED}),
    path("projects/<number:project_id>/reclaim/", tasks.maintain, {"chore": tasks.RECLAIM}),
    path("projects/<number:project_id>/hard-reset/", tasks.maintain, {"chore": tasks.HARD_RESET}),
    path("projects/<number:project_id>/tasks/", task_list.task_list),
    path("projects/<number:project_id>/tasks/change/", task_list.change),
    path("projects/<number:project_id>/results/", results.results),
    path("tasks/<number:task_id>/", task.task),
    path("projects/<number:project_id>/workers/", worker.project_workers),
    path("failures/", failures.all_failures),
    path("workers/", workers.workers),
    path("workers/<number:worker_id>/", worker.worker),
    path("workers/<number:worker_id>/pause/", worker.pause, {"paused": True}),
    path("workers/<number:worker_id>/resume/", worker.pause, {"paused": False}),
    path("workers/<number:worker_id>/put-back/<number:project_id>/", worker.put_back),
    path("logs/", logs.logs),
    path("managers/", managers.managers),
    path("managers/<number:manager_id>/promote/", managers.promote, {"tracker_admin": True}),
    path("managers/<number:manager_id>/demote/", managers.promote, {"tracker_admin": False}),
    path("accounts/", accounts.account),
    path("accounts/login/", accounts.login),
    path("accounts/logout/", accounts.logout),
    path("accounts/register/", accounts.register),
    path("accounts/language/", set_language),
]
