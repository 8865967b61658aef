"""The admin, a file for each kind of thing. webui.apps imports those that register something."""
