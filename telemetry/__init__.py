"""The language that all rooms share: messages, topics, envelopes, control messages, records, errors.

No input or output, no clock.
"""
