"""Pictures are embedded in a page, and nothing else that the text names."""

import base64

from resnet.pages import html_page


def test_a_picture_is_in_the_page_itself() -> None:
    png = bytes(range(256))
    place = html_page.picture("curves", 'How it "learned"')
    html = html_page.html("A page", f"Before {place} after.", {"curves": png, "unused": b"x"})
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    assert f'Before <img src="{source}" alt="How it &quot;learned&quot;" /> after.' in html
    assert html.count("data:image") == 1


def test_a_name_without_a_picture_stays_a_name() -> None:
    html = html_page.html("", html_page.picture("other", "nothing"), {"curves": b"x"})
    assert '<img src="other" alt="nothing" />' in html
