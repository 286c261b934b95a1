"""Files, processes, locks and addresses: what knows nothing of this project."""
