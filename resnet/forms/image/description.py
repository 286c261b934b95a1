"""What a model of images takes and is for, in words: the texts of cards and descriptions."""

from resnet.forms.image.shape import CHANNELS, SIDE

NOUN = "images"
ARRAY = f"uint8 (N, {SIDE}, {SIDE}, {CHANNELS})"
INPUT = f"raw images, {ARRAY}, red, green, blue, 0 to 255"
VIEWS = {  # by `net.views`: what the published model averages
    1: "",
    2: ", from the mean logits of two views, an image and its mirror image",
    6: ", from the mean logits of six views, an image mirrored or not, shifted by a pixel or not",
}


def purpose(classes: int) -> str:
    """What a model is for, and what its answers do not mean; 0 `classes` where that is unknown."""
    return (
        f"It was made to compare ways of training on small images of {classes or 'a few'} kinds of "
        "things. It assigns one of these kinds to any image whatever, with a probability that does "
        "not say whether the image shows any of them."
    )
