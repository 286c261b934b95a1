"""Who put which version into production, when and why: a chain of events, and a lock."""
