"""How Sphinx builds the documentation (``make docs``) and runs its examples (``make doctest``)."""

from pathlib import Path

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
default_role = "py:obj"
html_theme = "furo"
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_title = "crsr-video"
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_use_ivar = True
doctest_global_setup = f"""
import os, shutil, tempfile
from pathlib import Path
import crsr_video
from crsr_video import *
import PIL.Image
import numpy as np
os.chdir(tempfile.mkdtemp())
clip = Path({str(Path(__file__).parents[1] / "clips" / "portrait.mp4")!r})
enhance(clip, "interview.mp4", model="identity", duration=0.4)
PIL.Image.new("RGB", (64, 64), "gray").save("photo.jpg")
pixels = np.full((64, 64, 3), 128, np.uint8)
frames = [pixels] * 3
show = lambda frame: None
"""
doctest_global_cleanup = """
folder = Path.cwd()
os.chdir("/")
shutil.rmtree(folder)
"""
