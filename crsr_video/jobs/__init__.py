"""Many files, resumable segments, and clusters."""
