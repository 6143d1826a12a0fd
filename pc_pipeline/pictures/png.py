"""Pictures as small PNG files: they stay in the event log for ever."""

import io

from pc_pipeline.pictures.text import Picture

LARGEST = 40_000


def png(picture: Picture) -> bytes:
    """A PNG in so many colours that it stays under 40 kB: 64, which is plenty for a drawing, or fewer."""
    from PIL import Image

    rgb = Image.fromarray(picture[..., ::-1].copy())
    for colours in (64, 32, 16, 8):
        file = io.BytesIO()
        few = rgb.quantize(colours, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(file, "PNG", optimize=True)
        if file.tell() < LARGEST:
            break
    return file.getvalue()
