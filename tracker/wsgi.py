import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tracker.settings")

_django = get_wsgi_application()

# Its imports need the settings.
from tracker.api.shortcut import WorkersFirst  # noqa: E402

application = WorkersFirst(_django)
