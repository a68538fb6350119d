"""How Sphinx makes the site. ``docs/build.py`` gathers what it reads, and says how to call it."""

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import minisegnet  # noqa: E402

project = "minisegnet"
author = "The minisegnet authors"
project_copyright = "the minisegnet authors, MIT licence"
version = release = minisegnet.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "building.docstrings",
    "myst_nb",
]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb", ".rst": "restructuredtext"}
exclude_patterns = ["files/**"]
nitpicky = True
# Other libraries' pages are on other hosts; what isn't public has no page.
OTHERS = "numpy|collections|pathlib|types|typing|fractions|PIL|matplotlib"
INSIDE = r"data\.(layouts|statistics)|diagnosis|export\.graph|nn\.init|optim\.on_device"
INSIDE += r"|profiling\.tracing|report\.panels|training\.loop"
nitpick_ignore_regex = [
    ("py:class", rf"({OTHERS}|minisegnet\.({INSIDE}))\..*"),
    ("py:class", r"Array|Figure|Measured|(tuple|dict)\[.*"),
]

# Notebooks come executed.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4

# Docstrings.
autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]
python_maximum_signature_line_length = 88
viewcode_line_numbers = True
toc_object_entries_show_parents = "hide"

# What it looks like. Fonts are the reader's own; Korean ones are named for the terms.
highlight_language = "none"  # a block that names no language is none
html_theme = "furo"
html_title = "minisegnet"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
html_show_sphinx = False
KOREAN = '"Apple SD Gothic Neo", "Malgun Gothic", "Noto Sans KR", "Noto Sans CJK KR", "NanumGothic"'
FONTS = f'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, {KOREAN}, sans-serif'
html_theme_options = {
    "light_css_variables": {
        "font-stack": FONTS,
        "code-font-size": "0.75rem",
        "color-brand-primary": "#0b5c8c",
        "color-brand-content": "#0b5c8c",
    },
    "dark_css_variables": {"color-brand-primary": "#7cc4f0", "color-brand-content": "#7cc4f0"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

# Formulas: MathJax lies within the site, and its menu, which would offer to fetch more, is off.
MATHJAX = Path(str(importlib.util.find_spec("sphinx-mathjax-offline").origin)).parent / "static" / "mathjax"
mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}}


def setup(app):
    """Lay what is bundled, and its licence, beside the pages."""
    from sphinx.util.fileutil import copy_asset

    def bundle(app, error):
        if error is None:
            target = Path(app.outdir) / "_static" / "mathjax"
            copy_asset(str(MATHJAX / "tex-svg.js"), str(target))
            copy_asset(str(HERE / "licences" / "MathJax.txt"), str(target))

    app.connect("build-finished", bundle)
