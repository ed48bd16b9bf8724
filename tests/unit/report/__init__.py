"""Reports: the facts, the files, and the page in a browser."""
