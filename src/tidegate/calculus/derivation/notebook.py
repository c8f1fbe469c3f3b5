"""A derivation in a notebook."""

from html import escape

from tidegate.calculus.derivation.document import Document
from tidegate.calculus.derivation.page_html import sections_html
from tidegate.calculus.derivation.picture import inline_picture
from tidegate.notebook import output

STYLE = """<style>
.tg-derivation table { border-collapse: collapse; display: block; overflow-x: auto; margin: .5em 0 .5em 1em; }
.tg-derivation table td, .tg-derivation table th { border: 0; padding: .2em .3em; text-align: left;
  white-space: nowrap; }
.tg-derivation td.left { text-align: right !important; }
.tg-derivation td.note { padding-left: 2em !important; opacity: .75; white-space: normal !important; min-width: 14em; }
.tg-derivation figure { margin: .5em 0; }
</style>"""


def document_html(document: Document) -> str:
    """The whole derivation, with its diagram."""
    head = f"<p><strong>{escape(document.title)}</strong></p>"
    subtitle = f"<p>{escape(document.subtitle)}</p>" if document.subtitle else ""
    sections = sections_html(document.sections, heading="h4")
    body = (head, subtitle, inline_picture(document.step, document.notation, document.language), sections)
    return output(f'<div class="tg-derivation">{STYLE}', *body, "</div>")


def document_latex(document: Document) -> str:
    """The body of the article: what is between its title and its end."""
    article = document.render("latex")
    return article.partition("\\maketitle\n")[2].partition("\\end{document}")[0]
