"""Device bytes in, messages out: pure decoders in `protocols`, the ward's process in `host`."""
