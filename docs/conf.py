"""How Sphinx builds these pages: `make docs`, which lays them beside the boards as one site."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import sgbench  # noqa: E402
from registry.site.render import bar  # noqa: E402

project, author, version = "sgbench", "The sgbench authors", sgbench.__version__
copyright = author
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "tools.documentation.extension",
    "tools.documentation.mathematics",
]
exclude_patterns = ["_build", "Thumbs.db"]
templates_path = ["_templates"]

# Docstrings: Google style, with code between single backticks.
default_role = "code"
suppress_warnings = ["ref.python"]  # a name such as Plan or Summary may be of several rooms
autodoc_member_order = "bysource"
# Docstrings that torch and Lightning hand down point to pages of their own.
autodoc_typehints, autodoc_inherit_docstrings = "signature", False
toc_object_entries = False
napoleon_google_docstring, napoleon_numpy_docstring = True, False

# Pages are Markdown; a page with code cells is a notebook and is executed anew by each build.
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
myst_fence_as_directive = ["math"]
myst_url_schemes = {"http": None, "https": None, "outside": {"url": "{{path}}#{{fragment}}"}}
nb_execution_mode = "cache"  # a fresh checkout has no cache, so there each notebook runs
nb_execution_in_temp = True
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_merge_streams = True

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "sgbench"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_show_sourcelink = False
html_show_search_summary = False  # it fetches pages, which a browser refuses of files on disk
nb_execution_cache_path = str(ROOT / "build" / "jupyter_cache")
html_sidebars = {"**": ["all_pages.html"]}
html_theme_options = {
    "navbar_align": "left",
    "search_bar_text": "Search",
    "navbar_start": ["boards_name"],
    "navbar_center": ["boards_bar"],
    "navbar_end": ["search-field", "theme-switcher"],
    "navbar_persistent": [],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
}
html_context = {"default_mode": "auto", "boards_bar": bar(docs=True)}
