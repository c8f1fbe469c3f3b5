"""The documentation site: `make docs` builds it into site/html. It loads nothing from other hosts and needs no server.

Sources are the Markdown files and notebooks of the repository, where they are read without the site too.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "Tidegate"
root_doc = "docs/index"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**"]
exclude_patterns = ["docs/site/**", "**/*.py"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "mathematics", "docstrings", "contents", "languages"]
suppress_warnings = ["myst.header"]  # CHANGELOG.md and README.md begin as Markdown files do

myst_enable_extensions = ["dollarmath"]
myst_dmath_double_inline = True
myst_heading_anchors = 3
nb_execution_mode = "off"  # the stored outputs are shown; a test executes the notebooks
html_math_renderer = "mathml"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "Tidegate"
html_static_path = ["static"]
html_extra_path = ["extra"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
