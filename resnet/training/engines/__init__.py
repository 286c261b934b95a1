"""The step engines: one interface, a module for each backend."""
