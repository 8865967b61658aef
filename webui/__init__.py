"""The pages and the admin, for managers and visitors. It may import every other app; no app imports it."""
