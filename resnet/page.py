"""A page for a browser from Markdown: one file, no script, nothing loaded from elsewhere."""

import base64
from html import escape

STYLE = """
body { font: 15px/1.55 system-ui, sans-serif; color: #1f2933; background: #fff;
       max-width: 60em; margin: 2em auto; padding: 0 1em }
h1, h2 { line-height: 1.2 }
h2 { margin-top: 2em; border-bottom: 1px solid #e4e7eb; padding-bottom: .2em }
table { border-collapse: collapse; display: block; overflow-x: auto }
td, th { padding: .2em 1.2em .2em 0; text-align: left; vertical-align: top;
         border-bottom: 1px solid #e4e7eb; font-variant-numeric: tabular-nums }
pre { background: #f5f7fa; padding: .8em 1em; overflow-x: auto }
code { font: 13px/1.5 ui-monospace, monospace }
img { max-width: 100% }
"""


def html(title: str, text: str) -> str:
    """`text`, Markdown with tables, as an HTML document; HTML in it is shown as it is typed."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}</body>\n</html>\n"
    )


def picture(png: bytes, says: str) -> str:
    """A PNG picture as Markdown, inside the page itself; `says` is what it shows, in words."""
    return f"![{says}](data:image/png;base64,{base64.b64encode(png).decode()})"
