"""The history store: what events have told, on disk, by account, market, time and number. SQLite, or PostgreSQL."""
