"""Replay a Dockerfile in Debian trees, where no container engine can be had.

As root, with the packages debootstrap and util-linux:

    debootstrap --variant=minbase --include=ca-certificates bookworm base ADDRESS
    cp -a PREFIX_OF_PYTHON_3.12/. base/usr/local/    # in place of the image python:3.12-slim
    python -m tests.integration.packaging.replay_container Dockerfile base work

Each stage becomes a folder below `work`. The last one then runs without a network, as the user of
the image: the entry point, the health check, the sample clip, and the studio of compose.yaml.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.paths import ROOT

_STUDIO_SECONDS = 90
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Image:
    """A stage of a Dockerfile: a tree, and how programs run in it."""

    tree: Path
    mounts: list[tuple[Path, str]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0"
    entry_point: list[str] = field(default_factory=list)
    health_check: list[str] = field(default_factory=list)

    def command(self, words: list[str], *, has_network: bool) -> list[str]:
        """Return the words that run a command in the tree, in namespaces of its own."""
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        lines = [
            f"mount --bind {shlex.quote(str(source))} {shlex.quote(str(self.tree) + target)}"
            for source, target in self.mounts
        ]
        lines += [f"mount -t proc proc {shlex.quote(f'{self.tree}/proc')}"]
        if not has_network:
            lines.append("ip link set lo up 2>/dev/null || true")
        inside = ["env", "-i", *variables, "sh", "-c", 'cd "$0" && exec "$@"', self.folder, *words]
        lines.append(
            f"exec chroot --userspec={self.user}:{self.user} {shlex.quote(str(self.tree))} "
            + shlex.join(inside)
        )
        isolation = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        isolation += [] if has_network else ["--net"]
        return [*isolation, "sh", "-euc", "\n".join(lines)]

    def run(self, words: list[str], *, has_network: bool = False) -> None:
        """Run a command in the tree, and show what it prints."""
        print("$", shlex.join(words), flush=True)
        subprocess.run(self.command(words, has_network=has_network), check=True)


def instructions(path: Path) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile with their arguments."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    words = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [(word[0], word[1]) for word in words]


def copy_context(target: Path) -> None:
    """Copy what .dockerignore admits: it excludes everything, and then names what it includes."""
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source = ROOT / line[1:]
            if source.is_dir():
                hidden = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, target / line[1:], ignore=hidden)
            else:
                shutil.copy(source, target)


def build(
    path: Path, base: Path, work: Path, mounts: list[tuple[Path, str]], own: dict[str, str]
) -> Image:
    """Carry out a Dockerfile, and return its last stage."""
    stages: dict[str, Image] = {}
    image = Image(base)
    for name, value in instructions(path):
        print(f"== {name} {value}", flush=True)
        words = shlex.split(value)
        if name == "FROM":
            tree = work / (words[2] if len(words) > 1 else "final")
            subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(tree)], check=True)
            image = stages[tree.name] = Image(
                tree, mounts, {"PATH": os.defpath, "HOME": "/root"} | own
            )
            image.environment["PATH"] = (
                "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
            )
            for _, target in mounts:
                (tree / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif name in ("ENV", "ARG"):
            for word in words:
                key, _, text = word.partition("=")
                image.environment[key] = text.replace("$PATH", image.environment["PATH"])
        elif name == "WORKDIR":
            image.folder = value
            (image.tree / value.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif name == "RUN":
            image.run(["sh", "-c", value], has_network=True)
        elif name == "COPY" and words[0].startswith("--from="):
            source = stages[words[0].partition("=")[2]].tree / words[1].lstrip("/")
            target = image.tree / words[2].lstrip("/")
            subprocess.run(["cp", "-a", str(source), str(target)], check=True)
        elif name == "COPY":
            copy_context(image.tree / image.folder.lstrip("/"))
        elif name == "USER":
            image.user = value
        elif name == "HEALTHCHECK":
            image.health_check = json.loads(value.partition("CMD ")[2])
        elif name == "ENTRYPOINT":
            image.entry_point = json.loads(value)
        elif name not in ("VOLUME", "CMD"):
            raise SystemExit(f"{path}: {name} is not supported here")
    return image


def check(image: Image) -> None:
    """Use the finished image without a network."""
    image.environment = {k: v for k, v in image.environment.items() if not k.startswith("PIP_")}
    image.environment["HOME"] = "/home/crsr"
    image.run([*image.entry_point, "--version"])
    image.run(image.health_check)
    videos = image.tree / "videos"
    shutil.copy(ROOT / "clips/portrait.mp4", videos)
    image.run([*image.entry_point, "-q", "enhance", "portrait.mp4"])
    assert (videos / "portrait.enhanced.mp4").stat().st_size > 0
    studio = ["studio", "/videos", "--no-browser", "--host", "0.0.0.0", "--port", "8321"]
    words = shlex.join([*image.entry_point, *studio, "--work-folder", "/work"])
    probe = (
        "import socket, sys, time\n"
        f"for _ in range({_STUDIO_SECONDS}):\n"
        "    try: socket.create_connection(('127.0.0.1', 8321), 5); sys.exit()\n"
        "    except OSError: time.sleep(1)\n"
        "sys.exit('the studio does not answer')"
    )
    begun = time.monotonic()
    image.run(["sh", "-c", f"{words} & python -c {shlex.quote(probe)}; rc=$?; kill $!; exit $rc"])
    print(f"the studio answered within {time.monotonic() - begun:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dockerfile", type=Path)
    parser.add_argument("base", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--mount", action="append", default=[], help="a folder that pip needs")
    given = parser.parse_args()
    mounts = [(Path(folder), folder) for folder in given.mount]
    own = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    given.work.mkdir(parents=True)
    image = build(given.dockerfile, given.base.resolve(), given.work.resolve(), mounts, own)
    check(image)
    print("1 passed, 0 failed")


if __name__ == "__main__":
    sys.exit(main())
