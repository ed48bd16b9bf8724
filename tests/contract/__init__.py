"""The picture contract: what must come out of a run as it went in, row by row."""
