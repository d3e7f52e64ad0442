"""Digits in fonts of Debian's packages, handwriting and print."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.reading.road import Collection, Picture

FOLDERS = Path("/usr/share/fonts/truetype"), Path("/usr/share/fonts/opentype"), Path("/usr/share/texmf/fonts")
"""Where Debian's packages put their fonts."""
SIZES = 16, 32, 64
"""Pixels of the em; a digit is about two thirds of it high."""
WEIGHTS = 0.0, 0.05
"""By how much a pen widens the outlines on each side, as a fraction of the em."""


@dataclass(frozen=True)
class Font:
    """A font file of a Debian package."""

    name: str
    package: str
    file: str
    """Below one of FOLDERS."""
    written: bool = True
    """Whether it imitates handwriting."""

    def path(self) -> Path | None:
        """Return the file, None where it is not installed."""
        return next((folder / self.file for folder in FOLDERS if (folder / self.file).is_file()), None)


FONTS = (
    Font("Breip", "fonts-breip", "breip/Breip.ttf"),
    Font("Because We Build", "fonts-bwht", "bwht/BecauseWeBuild-Regular.otf"),
    Font("Because We Connect", "fonts-bwht", "bwht/BecauseWeConnect-Regular.otf"),
    Font("Because We Create", "fonts-bwht", "bwht/BecauseWeCreate-Regular.otf"),
    Font("Because We Learn", "fonts-bwht", "bwht/BecauseWeLearn-Regular.otf"),
    Font("Because We Mentor", "fonts-bwht", "bwht/BecauseWeMentor-Regular.otf"),
    Font("Because We Organize", "fonts-bwht", "bwht/BecauseWeOrganize-Regular.otf"),
    Font("Comic Neue", "fonts-comic-neue", "comic-neue/ComicNeue-Regular.otf"),
    Font("Dancing Script", "fonts-dancingscript", "dancingscript/DancingScript-Regular.otf"),
    Font("Delphine", "fonts-sjfonts", "sjfonts/Delphine.ttf"),
    Font("dkg", "fonts-dkg-handwriting", "fifthhorseman/dkg.ttf"),
    Font("Écolier court", "fonts-ecolier-court", "ecolier-court/Ecolier-court.ttf"),
    Font("Havana", "fonts-havana", "havana/Havana-Regular.otf"),
    Font("Humor Sans", "fonts-humor-sans", "humor-sans/Humor-Sans.ttf"),
    Font("Kaushan Script", "fonts-kaushanscript", "kaushanscript/KaushanScript-Regular.otf"),
    Font("Klee One", "fonts-klee", "klee/KleeOne-Regular.ttf"),
    Font("Kristi", "fonts-kristi", "kristi/Kristi.ttf"),
    Font("Leckerli One", "fonts-leckerli-one", "leckerli-one/LeckerliOne-Regular.ttf"),
    Font("Purisa", "fonts-tlwg-purisa-otf", "tlwg/Purisa.otf"),
    Font("RufScript", "fonts-rufscript", "rufscript/Rufscript010.ttf"),
    Font("SteveHand", "fonts-sjfonts", "sjfonts/SteveHand.ttf"),
    Font("Tomson Talks", "fonts-tomsontalks", "tomsontalks/TomsonTalks.ttf"),
    Font("Yusei Magic", "fonts-yusei-magic", "yusei-magic/YuseiMagic-Regular.ttf"),
    Font("DejaVu Sans", "fonts-dejavu-core", "dejavu/DejaVuSans.ttf", False),
    Font("DejaVu Serif", "fonts-dejavu-core", "dejavu/DejaVuSerif.ttf", False),
    Font("GNU Typewriter", "fonts-gnutypewriter", "gnutypewriter/GNUTypewriter.ttf", False),
    Font("Latin Modern Roman", "fonts-lmodern", "opentype/public/lm/lmroman10-regular.otf", False),
    Font("Liberation Mono", "fonts-liberation", "liberation/LiberationMono-Regular.ttf", False),
    Font("Liberation Sans", "fonts-liberation", "liberation/LiberationSans-Regular.ttf", False),
    Font("Liberation Serif", "fonts-liberation", "liberation/LiberationSerif-Regular.ttf", False),
    Font("Lobster", "fonts-lobster", "lobster/lobster.otf", False),
    Font("Open Sans", "fonts-open-sans", "open-sans/OpenSans-Regular.ttf", False),
    Font("OpenDyslexic", "fonts-opendyslexic", "opendyslexic/OpenDyslexic-Regular.otf", False),
    Font("TeX Gyre Adventor", "fonts-texgyre", "opentype/public/tex-gyre/texgyreadventor-regular.otf", False),
    Font(
        "TeX Gyre Chorus", "fonts-texgyre", "opentype/public/tex-gyre/texgyrechorus-mediumitalic.otf", False
    ),
)
"""The fonts that count. Left out: outlined digits, and a 1 that is drawn as a Roman I."""
PACKAGES = tuple(sorted({font.package for font in FONTS}))


def missing() -> list[Font]:
    """Return the fonts that are not installed."""
    return [font for font in FONTS if font.path() is None]


def glyph(path: Path, sign: str, size: int, weight: float) -> Picture:
    """Return a picture of a sign, black on white, with a margin of a quarter em.

    Args:
        path: The font's file.
        sign: One character or more.
        size: Pixels of the em.
        weight: By how much a pen widens the outline on each side, as a fraction of the em.
    """
    font = ImageFont.truetype(path, size)
    pen = round(weight * size)
    left, top, right, bottom = (round(side) for side in font.getbbox(sign, stroke_width=pen))
    margin = size // 4
    picture = Image.new("L", (right - left + 2 * margin, bottom - top + 2 * margin), 255)
    ImageDraw.Draw(picture).text(
        (margin - left, margin - top), sign, fill=0, font=font, stroke_width=pen, stroke_fill=0
    )
    return np.asarray(picture)


def digits(font: Font) -> Collection | None:
    """Return the ten digits in every size and weight, None where the font is not installed."""
    if (path := font.path()) is None:
        return None
    kinds = [(size, weight) for size in SIZES for weight in WEIGHTS]
    pictures = [glyph(path, str(digit), *kind) for kind in kinds for digit in range(10)]
    return Collection(pictures, np.tile(np.arange(10, dtype=np.uint8), len(kinds)))
