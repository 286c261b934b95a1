"""Which version is in production: promote, ask, roll back, recover; each move is in the ledger."""
