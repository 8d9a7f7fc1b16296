"""A pool's log as tables, in SQLite or PostgreSQL. Imports SQLAlchemy, which comes with the extra `sql`."""
