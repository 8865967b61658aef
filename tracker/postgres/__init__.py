"""The embedded PostgreSQL: a real server from a wheel, used if DATABASE_URL is not set.

`server` runs it; `base` is the Django database backend that attaches to it on the first connection.
"""
