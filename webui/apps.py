from importlib import import_module

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps

ADMIN_MODULES = (
    *("access", "closed_tasks", "failures", "logs", "managers", "projects", "snapshots", "tasks", "workers"),
)


class WebuiConfig(AppConfig):
    name = "webui"
    default = True

    def ready(self) -> None:
        # Each module registers its models. webui/admin/__init__.py would be too early for that: it is imported while
        # the site is being created, and Django would replace the site that the models were registered with.
        for name in ADMIN_MODULES:
            import_module(f"webui.admin.{name}")


class AdminConfig(admin_apps.AdminConfig):
    """Django's admin, with the tracker's own admin site."""

    default = False
    default_site = "webui.admin.site.TrackerAdminSite"
