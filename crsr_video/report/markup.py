"""HTML out of Python: everything is escaped unless it was made here.

Names of files, tags and languages come from strangers; none of them can become an element.
"""

import html
import re

# Control characters are not allowed in HTML; lone surrogates stand for bytes that are no text.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# Marks that turn the direction of text around, and so may show another name than there is.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f]")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(value: object) -> Markup:
    """Text for any place in HTML, attributes among them."""
    if isinstance(value, Markup):
        return value
    plain = _TURNING.sub("", _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", str(value)))
    return Markup(html.escape(plain, quote=True))


def joined(*parts: object) -> Markup:
    """Several parts, one after the other."""
    return Markup("".join(map(escaped, parts)))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element; "class_" is class, "_" in other names is "-", and None leaves one out."""
    words = [
        f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for key, value in attributes.items()
        if value is not None
    ]
    if name in ("img", "input", "meta"):
        return Markup(f"<{name}{''.join(words)}>")
    return Markup(f"<{name}{''.join(words)}>{joined(*children)}</{name}>")
