from importlib import import_module

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps

ADMIN_MODULES = ("access", "closed_tasks", "logs", "managers", "projects", "snapshots", "tasks", "workers")


class WebuiConfig(AppConfig):
    name = "webui"
    default = True

    def ready(self) -> None:
        # Each registers its models. Not in webui/admin/__init__.py, which is imported while the site is being made:
        # Django would then replace the site that they are registered with.
        for name in ADMIN_MODULES:
            import_module(f"webui.admin.{name}")


class AdminConfig(admin_apps.AdminConfig):
    """The admin, on our site."""

    default = False
    default_site = "webui.admin.site.TrackerAdminSite"
