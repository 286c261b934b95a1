"""Which version is in production: promote, roll back, ask, recover; each move is in the ledger."""
