"""Runs adapters: transports, supervision of devices, the durable outbox and the publisher."""
