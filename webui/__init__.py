"""What managers and visitors look at: the pages and the admin. It may ask every app, and no app asks it."""
