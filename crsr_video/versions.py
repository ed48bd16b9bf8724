"""Versions of the libraries that affect the result."""

from importlib.metadata import PackageNotFoundError, version

_LIBRARIES = {
    "torch": ("torch",),
    "av": ("av",),
    "numpy": ("numpy",),
    "opencv": ("opencv-python-headless", "opencv-contrib-python", "opencv-python"),
    "ai-edge-litert": ("ai-edge-litert",),
}
"""For each library, the packages that may provide it."""


def library_versions() -> dict[str, str]:
    """Return the version of each library by its name, or "missing"."""
    return {name: version_of(*packages) for name, packages in _LIBRARIES.items()}


def version_of(*packages: str) -> str:
    """Return the version of the first of these packages that is installed, or "missing"."""
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "missing"
