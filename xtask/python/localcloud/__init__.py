"""The local cloud from Python: clients, progress, deployment and the ledger."""
