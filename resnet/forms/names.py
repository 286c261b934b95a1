"""The forms that samples have here: their names, and what a sample of each is called."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, get_args

from resnet.errors import PipelineError

FormName: TypeAlias = Literal["image", "wave"]
FORMS: tuple[FormName, ...] = get_args(FormName)
NOUNS: Mapping[FormName, str] = {"image": "images", "wave": "recordings"}
ONE: Mapping[FormName, str] = {"image": "an image", "wave": "a recording"}


def check(name: object) -> FormName:
    """`name` if it is that of a form. Raises PipelineError."""
    for known in FORMS:
        if name == known:
            return known
    raise PipelineError(
        f"samples of the form {name!r} are unknown here, known are {', '.join(FORMS)}: use the "
        "release that wrote it, or a later one"
    )


def counted(form: FormName, count: int) -> str:
    """So many samples, in words."""
    return f"{count:,} {ONE[form].partition(' ')[2] if count == 1 else NOUNS[form]}"


def array(shape: Sequence[int]) -> str:
    """The type and shape of an array of samples of `shape`, in words."""
    return f"uint8 ({', '.join(['N', *map(str, shape)])})"
