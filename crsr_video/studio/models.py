"""Networks in memory, shared by all previews."""

import threading
from dataclasses import replace

from crsr_video.config import EnhancerConfig
from crsr_video.runtime.loading import Networks, load_networks

_LOADED = 4
"""Maximum number of networks that stay in memory."""


class LoadedNetworks:
    """Networks in memory. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[tuple[str, float, bool], Networks] = {}

    def get(self, config: EnhancerConfig, *, takes_turns: bool = False) -> Networks:
        """Return the networks of a configuration. Those used most recently stay loaded.

        Args:
            config: The configuration.
            takes_turns: Whether all pipelines with these networks run in one thread. Building
                such a pipeline takes a fraction of the time.
        """
        key = (config.networks.model, config.networks.texture, takes_turns)
        with self._lock:
            found = self._loaded.pop(key, None)
            if found is None:
                found = self._loaded.get((*key[:2], not takes_turns)) or load_networks(config)
                found = found.taking_turns() if takes_turns else replace(found, shared=None)
            self._loaded[key] = found
            for old in list(self._loaded)[:-_LOADED]:
                del self._loaded[old]
            return found
