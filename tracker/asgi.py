"""What the web processes run."""

# Sets Django up, which the rest needs.
from tracker.wsgi import application as synchronous  # isort: skip

from tracker.front.application import Application

application = Application(synchronous)
