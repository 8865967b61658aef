"""The forms of the pages. They validate single fields; the services enforce all other rules."""
