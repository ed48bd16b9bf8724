"""The stages between decoding and encoding, one file each."""
