"""Execution of the networks: devices, precision, batching, fast paths."""
