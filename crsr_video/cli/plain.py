"""Text for a terminal: names of files may hold anything."""


def plain(text: str) -> str:
    """The text on one line: whatever is not to be printed, as Python writes it in a string."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
