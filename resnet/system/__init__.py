"""Files, processes, locks, progress and addresses: this room knows nothing of the project."""
