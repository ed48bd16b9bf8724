"""Reports: observations, files, and the page in a browser."""
