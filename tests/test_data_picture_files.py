"""How the bytes of a picture file become an array."""

import io

import numpy as np
import pytest
from PIL import Image

from dlhw.data.picture_files import decode


def encoded(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


WHITE, HALF = 255, 128


@pytest.mark.parametrize(
    ("picture", "options", "channels", "right"),
    [
        (Image.new("RGB", (5, 9), (200, 100, 50)), {}, 3, (200, 100, 50)),
        (Image.new("RGB", (5, 9), (200, 100, 50)), {}, 1, (124,)),
        (Image.new("L", (5, 9), 77), {}, 3, (77, 77, 77)),
        (Image.new("1", (5, 9), 1), {}, 1, (WHITE,)),
        (Image.new("RGBA", (5, 9), (0, 0, 0, 0)), {}, 3, (WHITE,) * 3),
        (Image.new("RGBA", (5, 9), (200, 100, 50, 255)), {}, 3, (200, 100, 50)),
        (Image.new("LA", (5, 9), (0, 0)), {}, 1, (WHITE,)),
        (Image.new("RGB", (5, 9), (200, 100, 50)).quantize(4), {}, 3, (200, 100, 50)),
        (Image.new("P", (5, 9), 0), {"transparency": 0}, 3, (WHITE,) * 3),
        (Image.new("I;16", (5, 9), 65535), {}, 3, (WHITE,) * 3),
        (Image.new("I;16", (5, 9), HALF * 257), {}, 1, (HALF,)),
        (Image.new("CMYK", (5, 9), (0, 255, 255, 0)), {"kind": "TIFF"}, 3, (255, 0, 0)),
    ],
)
def test_every_kind_of_picture_becomes_eight_bits(picture, options, channels, right):
    assert np.array_equal(decode(encoded(picture, **options), 4, channels), np.broadcast_to(np.uint8(right), (4, 4, channels)))


def test_resizing_is_bilinear_with_antialias():
    levels = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    picture = Image.fromarray(levels)
    assert np.array_equal(decode(encoded(picture), 8, 1)[..., 0], np.asarray(picture.resize((8, 8), Image.Resampling.BILINEAR)))
    assert abs(decode(encoded(picture), 1, 1).item() - levels.mean()) < 16  # all pixels count, not the four in the middle


def test_pictures_are_turned_as_their_exif_says():
    levels = np.zeros((8, 8), np.uint8)
    levels[0] = 255  # the upper edge
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to show
    turned = decode(encoded(Image.fromarray(levels), exif=exif), 8, 1)[..., 0]
    assert np.array_equal(turned, np.rot90(levels, -1))
