import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tracker.settings")

_django = get_wsgi_application()

# What it imports needs the settings.
from tracker.api.shortcut import WorkersFirst  # noqa: E402

application = WorkersFirst(_django)
