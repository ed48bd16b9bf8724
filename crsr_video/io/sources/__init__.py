"""How the bytes of a source arrive: from files, pipes, cameras and the network."""
