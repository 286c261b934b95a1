"""Tables for the pages that Prefect and MLflow show."""

from resnet.markdown import table


def test_columns_of_numbers_end_at_the_right() -> None:
    rows = [["all", "10,000", "90.04%", "–"], ["cats", "286", "+1.5", "-2"]]
    assert table(["part", "images", "share", "change"], rows).splitlines() == [
        "| part | images | share | change |",
        "| --- | ---: | ---: | ---: |",
        "| all | 10,000 | 90.04% | – |",
        "| cats | 286 | +1.5 | -2 |",
    ]


def test_a_text_among_numbers_keeps_a_column_at_the_left() -> None:
    assert "| --- |" in table(["found"], [["1"], ["1 ms"]])


def test_a_table_may_have_no_rows() -> None:
    assert table(["a", "b"], []) == "| a | b |\n| --- | --- |"


def test_a_bar_or_a_new_line_does_not_end_a_cell() -> None:
    assert table(["a"], [["x|y\nz"]]).splitlines()[-1] == "| x\\|y z |"
