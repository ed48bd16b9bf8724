"""Nodes for ComfyUI: enhance the faces in a batch of images, or in a video file.

Copy or link this folder into ComfyUI's ``custom_nodes``, and install crsr-video into ComfyUI's
Python environment.
"""

from .nodes import EnhanceFaces, EnhanceVideoFile

NODE_CLASS_MAPPINGS = {
    "CrsrEnhanceFaces": EnhanceFaces,
    "CrsrEnhanceVideoFile": EnhanceVideoFile,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "CrsrEnhanceFaces": "Enhance Faces (crsr-video)",
    "CrsrEnhanceVideoFile": "Enhance Faces in Video File (crsr-video)",
}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
