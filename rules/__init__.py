"""Concludes tickets from messages: pure meters, conditions and tickets, and the rule library."""
