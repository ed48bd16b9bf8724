"""Behaviour through the command line and the API: what a run must keep, change and refuse."""
