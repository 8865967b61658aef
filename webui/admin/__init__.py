"""The admin, one module per kind of object. webui.apps imports the modules that register models."""
