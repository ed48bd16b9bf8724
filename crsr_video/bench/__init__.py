"""Benchmarks of speed. Each result stands beside a limit that it cannot exceed."""
