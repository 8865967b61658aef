from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.urls import register_converter


class TrackerConfig(AppConfig):
    name = "tracker"
    default = True

    def ready(self) -> None:
        from tracker.api.converters import IdConverter

        register_converter(IdConverter, "id")


class AdminConfig(admin_apps.AdminConfig):
    """The admin, on our site."""

    default = False
    default_site = "tracker.admin.TrackerAdminSite"
