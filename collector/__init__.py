"""Carries every message from MQTT into the journal and on into history and the ledger."""
