"""Export a file by the studio's HTTP API: http_api.py ADDRESS NAME.

ADDRESS, with its token, is what `crsr-video studio FOLDER --no-browser` prints. NAME is a file of
FOLDER.
"""

import json
import sys
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen


class Api:
    """The calls of a running studio."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._cookie = f"crsr_studio={parse_qs(parts.query)['token'][0]}"

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request, with a body as JSON if there is one, and return the answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Cookie": self._cookie, "Content-Type": "application/json"}
        with urlopen(Request(self._base + path, data, headers)) as answer:
            return json.load(answer)


def main(address: str, name: str) -> None:
    """Export the file `name` in the format for sharing, and wait for the result."""
    api = Api(address)
    ids = {file["name"]: file["id"] for file in api.call("/api/files")["files"]}
    settings = {"strength": 0.8}
    job = api.call("/api/jobs", {"file": ids[name], "format": "share", "settings": settings})
    while job["state"] in ("waiting", "running"):
        time.sleep(0.5)
        job = next(one for one in api.call("/api/jobs")["jobs"] if one["id"] == job["id"])
        print(f"\r{job['progress']:.0%}", end="", file=sys.stderr)
    print(f"\n{job['state']}: {job['output']} {job['error']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
