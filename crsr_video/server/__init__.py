"""Frames in, enhanced frames out, for plug-ins and other programs, over a local socket.

Client      asks a server, in Python                        client.py
Server      answers many clients at once                    service.py
Session     one client's conversation                       session.py
Instance    one client's pipeline                           instance.py
Workshop    what all of them share: models, and turns       workshop.py
Recall      faces from a tracks file, by content            recall.py
wire        how messages travel, as bytes                   wire.py
requests    what a client asks                              requests.py
answers     what a server says                              answers.py
places      where the socket lies                           places.py

``protocol.md`` beside this describes the protocol.
"""

from crsr_video.server.client import Client, Result
from crsr_video.server.places import socket_path
from crsr_video.server.requests import Settings, Wish
from crsr_video.server.wire import VERSION

__all__ = ["VERSION", "Client", "Result", "Settings", "Wish", "socket_path"]
