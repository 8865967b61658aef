"""The embedded PostgreSQL: a real server from a wheel, for when DATABASE_URL names none.

`server` runs it; `base` is the Django database backend that attaches to it on the first connection.
"""
