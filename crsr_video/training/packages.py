"""Files of pretrained networks that are installed as Python packages."""

from importlib.util import find_spec
from pathlib import Path

from crsr_video.errors import TrainingError


def package_file(package: str, relative: str, *, extra: str = "train") -> Path:
    """Return the path of a data file inside an installed package, which is not imported.

    Args:
        package: Import name of the package.
        relative: Path of the file below the package's folder.
        extra: Extra of this project that installs the package.

    Raises:
        TrainingError: The package is not installed, or has no such file.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        install = f'pip install "crsr-video[{extra}]"'
        raise TrainingError(f"{package.replace('_', '-')} is not installed: {install}")
    path = Path(next(iter(spec.submodule_search_locations))) / relative
    if not path.is_file():
        raise TrainingError(f"the installed {package.replace('_', '-')} has no {relative}")
    return path
