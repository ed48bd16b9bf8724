"""Enhance frames for plug-ins and other programs, over a local socket.

client            sends frames to a server, from Python
service           serves many clients at once, each over its own connection
frame_enhancer    enhances the frames of one client
recorded_faces    finds a client's frames in a tracks file, by their content
shared_models     holds the networks, face models and threads that all clients share
protocol          defines the messages, and converts them to and from bytes
transport         provides the socket, the connections and the shared memory

``docs/server-protocol.md`` describes the protocol.
"""

from crsr_video.server.client import Client, EnhancedPicture
from crsr_video.server.protocol import VERSION, EffectFlag, EffectSettings
from crsr_video.server.transport import socket_path

__all__ = ["VERSION", "Client", "EffectFlag", "EffectSettings", "EnhancedPicture", "socket_path"]
