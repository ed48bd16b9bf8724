"""Where and how networks run: devices, precision, batching, fast paths."""
