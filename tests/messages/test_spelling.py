"""A mistyped word gets the nearest known one, or none."""

from resnet.messages.spelling import suggestion


def test_the_nearest_known_word_is_suggested_and_nothing_for_a_word_like_none() -> None:
    assert suggestion("histroy", ["history", "verify"]) == "; did you mean 'history'?"
    assert suggestion("xyz", ["history", "verify"]) == ""
