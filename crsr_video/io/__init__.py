"""Containers, codecs and streams: what decode and encode know of files, through PyAV."""
