"""Where the bytes of a result go: files, pipes, network protocols and virtual cameras."""
