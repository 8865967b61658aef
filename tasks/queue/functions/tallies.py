"""Sums of the times of tasks, which are counted in classes; see tasks.durations."""

# The counts of the classes as an array that begins with class 0.
SPREAD = """
CREATE OR REPLACE FUNCTION queue_spread(_classes smallint[], _counts bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT array_agg(coalesce(given.count, 0) ORDER BY one.class)
    FROM generate_series(0, (SELECT max(highest) FROM unnest(_classes) AS highest)) AS one (class)
    LEFT JOIN unnest(_classes, _counts) AS given (class, count) ON given.class = one.class
$$
"""

# The sum of two such arrays.
ADDED = """
CREATE OR REPLACE FUNCTION queue_added(_one bigint[], _other bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT coalesce(array_agg(coalesce(pair.one, 0) + coalesce(pair.other, 0) ORDER BY pair.class), '{}')
    FROM unnest(_one, _other) WITH ORDINALITY AS pair (one, other, class)
$$
"""
