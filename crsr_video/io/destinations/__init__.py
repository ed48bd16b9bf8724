"""Destinations of a result: files, pipes, network protocols and virtual cameras."""
