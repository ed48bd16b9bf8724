"""Files of pretrained networks that are installed as Python packages."""

from importlib.util import find_spec
from pathlib import Path

from crsr_video.errors import TrainingError

INSTALL = 'pip install "crsr-video[train]"'


def package_file(package: str, relative: str) -> Path:
    """Path of a data file inside an installed package, which is not imported.

    Raises: TrainingError: the package is not installed, or has no such file.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise TrainingError(f"{package.replace('_', '-')} is not installed: {INSTALL}")
    path = Path(next(iter(spec.submodule_search_locations))) / relative
    if not path.is_file():
        raise TrainingError(f"the installed {package.replace('_', '-')} has no {relative}")
    return path
