"""A page for a browser, made of Markdown: one file, no script, nothing loaded from elsewhere."""

import base64
from collections.abc import Mapping
from html import escape

# A page may load only what it contains.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { --ink: #1f2933; --soft: #616e7c; --line: #e4e7eb; --tint: #f5f7fa; --blue: #2563eb;
        --red: #c81e1e }
* { box-sizing: border-box }
body { font: 16px/1.6 system-ui, sans-serif; color: var(--ink); background: #fff;
       max-width: 58rem; margin: 0 auto; padding: 2.5rem 1.5rem 5rem; overflow-wrap: break-word }
h1, h2, h3 { line-height: 1.25; margin: 0 }
h1 { font-size: 2rem; letter-spacing: -.02em; padding-bottom: .6rem;
     border-bottom: 3px solid var(--blue) }
h2 { font-size: 1.35rem; margin-top: 3.2rem; padding-top: 1.2rem;
     border-top: 1px solid var(--line) }
h3 { font-size: 1.1rem; margin-top: 2rem }
h1 + p { font-size: 1.1rem; color: var(--soft) }
p, ul, ol { max-width: 44rem }
a { color: var(--blue) }
table { border-collapse: collapse; display: block; width: max-content; max-width: 100%;
        overflow-x: auto; margin: 1.2rem 0; font-size: .93rem; line-height: 1.45;
        font-variant-numeric: tabular-nums }
td, th { padding: .4em 1.5em .4em 0; text-align: left; vertical-align: top;
         border-bottom: 1px solid var(--line) }
td:last-child, th:last-child { padding-right: 0 }
th { color: var(--soft); font-weight: 600; white-space: nowrap;
     border-bottom: 2px solid var(--line) }
thead:not(:has(th:not(:empty))) { display: none }
thead:not(:has(th:not(:empty))) + tbody td:first-child { color: var(--soft) }
td strong { color: var(--red) }
pre { background: var(--tint); border-left: 3px solid var(--line); padding: .9em 1.1em;
      overflow-x: auto }
code { font: .86em/1.5 ui-monospace, monospace; overflow-wrap: anywhere }
td:first-child code { white-space: nowrap }
:not(pre) > code { background: var(--tint); border-radius: 3px; padding: .1em .3em }
img { display: block; zoom: .62; max-width: 100%; height: auto; margin: 2.8rem 0 }
@media (max-width: 40rem) { body { padding: 1.2rem 1rem 3rem } h1 { font-size: 1.6rem } }
"""


def html(title: str, text: str, pictures: Mapping[str, bytes]) -> str:
    """`text`, Markdown with tables, as an HTML document; HTML in it is shown as typed.

    A table with an empty heading has its names in the first column. Bold text in a table marks what
    is wrong, and stands out. `pictures` are PNG files by the names that `picture` gave them in
    `text`; they are embedded in the page, and shown smaller than they are, to be sharp on any
    screen.
    """
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(text)
    # Only after parsing, which would read such addresses letter by letter, for seconds.
    for child in (child for token in tokens for child in token.children or ()):
        png = pictures.get(str(child.attrs.get("src")))
        if child.type == "image" and png is not None:
            child.attrs["src"] = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    body = reader.renderer.render(tokens, reader.options, {})
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}</body>\n</html>\n"
    )


def picture(name: str, description: str) -> str:
    """The place of a picture as Markdown; `description` says what it shows.

    The name has letters, digits and underscores only.
    """
    return f"![{description}]({name})"
