from django.apps import AppConfig
from django.urls import register_converter


class TrackerConfig(AppConfig):
    name = "tracker"
    default = True

    def ready(self) -> None:
        from tracker.api.converters import IdConverter, NumberConverter

        register_converter(IdConverter, "id")
        register_converter(NumberConverter, "number")
