"""Tables for the pages that Prefect and MLflow show."""

import pytest
from markdown_it import MarkdownIt

from resnet.pages.markdown import table, text


def test_columns_of_numbers_are_aligned_to_the_right() -> None:
    rows = [["all", "10,000", "90.04%", "–"], ["cats", "286", "+1.5", "-2"]]
    assert table(["part", "images", "share", "change"], rows).splitlines() == [
        "| part | images | share | change |",
        "| --- | ---: | ---: | ---: |",
        "| all | 10,000 | 90.04% | – |",
        "| cats | 286 | +1.5 | -2 |",
    ]


def test_a_text_among_numbers_keeps_a_column_aligned_to_the_left() -> None:
    assert "| --- |" in table(["found"], [["1"], ["1 ms"]])


def test_a_table_may_have_no_rows() -> None:
    assert table(["a", "b"], []) == "| a | b |\n| --- | --- |"


def test_a_bar_or_a_new_line_does_not_end_a_cell() -> None:
    assert table(["a"], [["x|y\nz"]]).splitlines()[-1] == "| x\\|y z |"


@pytest.mark.parametrize(
    "typed",
    [
        "## The gate: passed",
        "- one",
        "2. two",
        "---",
        "=== a",
        "> quoted",
        "*new*_2",
        "__x__",
        "~~gone~~ `code` a|b \\|c\\",
        "![see](https://example.org/a_b) [proof][1]",
        "<img src=x onerror=alert(1)> &lt;b&gt;",
    ],
)
def test_what_someone_typed_is_shown_as_typed_and_does_nothing(typed: str) -> None:
    for markdown in (text(typed), table(["a"], [[text(typed)]])):
        tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
        *_, inline = [token.children or [] for token in tokens if token.type == "inline"]
        assert {token.type for token in inline} <= {"text", "text_special"}
        assert "".join(token.content for token in inline) == typed
    assert MarkdownIt("commonmark").parse(text(typed))[0].type == "paragraph_open"


def test_what_someone_typed_in_several_lines_becomes_one() -> None:
    assert text("better\n\n# passed\r\n\tno") == "better # passed no"


@pytest.mark.parametrize(
    "typed", ["data/extra/night was added", "0.5 points, by ann@host: 3 → 5", "retrain-quick (5)"]
)
def test_plain_words_stay_as_they_are(typed: str) -> None:
    assert text(typed) == typed


def test_an_address_that_someone_typed_is_no_link_on_github_either() -> None:
    assert text("see https://example.org") == r"see https\://example.org"
