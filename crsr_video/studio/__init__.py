"""The studio: see, choose and export in the browser, over a documented HTTP API."""
