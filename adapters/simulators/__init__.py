"""Devices that are not there: they speak the same bytes as the real ones, with the timing of the protocol."""
