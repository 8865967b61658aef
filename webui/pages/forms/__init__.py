"""The forms of the pages. They check what a field may hold; the rules are the services'."""
