"""How Sphinx builds the documentation: ``make docs``."""

from crsr_video import __version__

project = "crsr-video"
author = "The crsr-video authors"
release = version = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "crsr-video"
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
