"""Configuration of Sphinx."""

from deepfake_seq import __version__

project = "deepseq"
author = "The deepseq authors"
version = release = __version__
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "deepseq"
exclude_patterns = ["_build"]
