"""The look of the admin: django-unfold's settings. frame.css has the same colours, for the sidebar and the pages."""

from typing import Any

from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": _("Task tracker"),
    "SITE_HEADER": _("Task tracker"),
    "SITE_URL": "/projects/",
    "SITE_SYMBOL": "task_alt",
    "SHOW_LANGUAGES": False,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("icon.svg")}],
    "STYLES": [lambda request: static("frame.css"), lambda request: static("admin.css")],
    "SCRIPTS": [
        lambda request: static("theme.js"),
        lambda request: static("frame.js"),
        lambda request: static("admin.js"),
    ],
    "COLORS": {
        "primary": {
            "50": "oklch(97% .014 254.604)",
            "100": "oklch(93.2% .032 255.585)",
            "200": "oklch(88.2% .059 254.128)",
            "300": "oklch(80.9% .105 251.813)",
            "400": "oklch(70.7% .165 254.624)",
            "500": "oklch(62.3% .214 259.815)",
            "600": "oklch(54.6% .245 262.881)",
            "700": "oklch(48.8% .243 264.376)",
            "800": "oklch(42.4% .199 265.638)",
            "900": "oklch(37.9% .146 265.522)",
            "950": "oklch(28.2% .091 267.935)",
        }
    },
}
