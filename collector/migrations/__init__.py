"""Migrations of the ledger, run in process when it is opened."""
