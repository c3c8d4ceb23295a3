"""How Sphinx builds these pages: `sphinx-build -W docs docs/_build`."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import sipactors  # noqa: E402

project = "sipactors"
author = copyright = "the sipactors founders"
version = release = sipactors.__version__

extensions = ["machines", "myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "SIP for Twisted", "fixed_sidebar": True}
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "description"
