"""One look for all pictures: the palette, the files, and what they take."""

from __future__ import annotations

import ast
import io
import itertools
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

import sgbench.plots
from sgbench.errors import InputError, StorageError
from sgbench.plots import style

FOLDER = Path(sgbench.plots.__file__).parent


def curve(height: float = 1.0) -> Figure:
    """A small figure."""
    figure = Figure(figsize=(2, 1.5))
    figure.subplots().plot([0, height], color=style.BLUE)
    return figure


@pytest.mark.one_in(4)
@pytest.mark.parametrize("kind", style.UNDATED)
def test_the_same_bytes_for_the_same_picture(kind: str, tmp_path: Path) -> None:
    """Must match: whatever somebody's own settings are. Must differ: another curve."""
    plain = style.encode(curve, kind)
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 50}):
        assert style.encode(curve, kind) == plain
    assert style.encode(lambda: curve(2.0), kind, style_changes={"font.size": 5}) != plain
    style.save(curve, tmp_path / f"picture{kind.upper()}")
    assert (tmp_path / f"picture{kind.upper()}").read_bytes() == plain


def test_what_a_png_says_of_itself() -> None:
    """Pillow reads the text back and nothing else: no version of a library."""
    data = style.encode(curve, ".png", texts={"Description": "of a table"})
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.text == {"Description": "of a table"}
        assert picture.size == (240, 180)  # 120 dots an inch


def test_a_png_has_the_colours_that_matplotlib_draws() -> None:
    """Must match: matplotlib's own picture, to 16 of 255 levels. Must differ: it has more colours."""

    def many_colours() -> Figure:
        figure = Figure(figsize=(3, 3))
        figure.subplots().imshow(np.add.outer(np.arange(40), np.arange(40) ** 2 / 40), cmap="viridis")
        return figure

    own = io.BytesIO()
    with mpl.style.context(["default", style.STYLE]):
        many_colours().savefig(own, format="png")
    with Image.open(own) as drawn, Image.open(io.BytesIO(style.encode(many_colours, ".png"))) as kept:
        expected, found = (np.asarray(picture.convert("RGB"), dtype=int) for picture in (drawn, kept))
        assert kept.mode == "P"
        assert len(kept.palette.colors) <= style.MAX_COLOURS < len(drawn.convert("RGB").getcolors(10**6))
    assert abs(found - expected).max() <= 16
    assert np.median(abs(found - expected)) <= 1


def test_pictures_that_cannot_be_written(tmp_path: Path) -> None:
    """Expected: one line with the path and the remedy; nothing is drawn for a wrong path."""
    with pytest.raises(InputError, match=r"x\.bmp: .*\.png"):
        style.save(lambda: pytest.fail("was drawn"), tmp_path / "x.bmp")
    with pytest.raises(InputError, match="nowhere does not exist"):
        style.save(lambda: pytest.fail("was drawn"), tmp_path / "nowhere" / "x.png")
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(StorageError, match="cannot be written"):
        style.save(curve, tmp_path / "taken.png")


TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
"""IEC 61966-2-1, sRGB."""
TO_DICHROMAT = {
    "nobody": np.eye(3),
    "deuteranope": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
    "protanope": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
}
"""Of linear RGB: Vienot, Brettel & Mollon 1999, Color Research & Application 24."""


def lab(colour: str, eye: str) -> np.ndarray:
    """A colour in CIE L*a*b* (CIE 15:2004, white D65), as an eye sees it."""
    linear = np.array(to_rgb(colour)) ** 2.2
    x, y, z = TO_XYZ @ np.maximum(TO_DICHROMAT[eye] @ linear, 0) / TO_XYZ.sum(axis=1)
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


@pytest.mark.parametrize("eye", TO_DICHROMAT)
def test_colours_are_told_apart(eye: str) -> None:
    """Any two differ by 19 in L*a*b* at least (Okabe & Ito's orange and vermilion by 20), and none is too light."""
    for first, second in itertools.combinations(style.COLOURS, 2):
        assert np.linalg.norm(lab(first, eye) - lab(second, eye)) > 19, (first, second)
    assert all(lab(colour, eye)[0] < 80 for colour in (*style.COLOURS, style.SOFT, style.INK))
    assert len(set(style.MARKERS)) == len(style.COLOURS) == len(style.MARKERS)


PAPERS = {"light": "#ffffff", "dark": "#12161b"}
"""Behind pictures, and the pages of the site in its dark scheme."""


def luminance(colour: str) -> float:
    """Of WCAG 2.1, with its own curve."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", PAPERS)
def test_shapes_are_seen_and_the_ends_of_their_axis_differ_most(scheme: str) -> None:
    """By WCAG 2.1 each has 3:1 on its paper; in L*a*b* any two differ by 40, the two ends by more than any pair.

    For a deuteranope and a protanope any two differ by 9, and markers differ for everybody.
    """
    colours = {name: getattr(look, scheme) for name, look in style.SHAPES.items()}
    paper = luminance(PAPERS[scheme])
    for colour in colours.values():
        bright, dim = sorted((luminance(colour), paper), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 3
    pairs = list(itertools.combinations(colours, 2))
    apart = {
        eye: {pair: float(np.linalg.norm(lab(colours[pair[0]], eye) - lab(colours[pair[1]], eye))) for pair in pairs}
        for eye in TO_DICHROMAT
    }
    assert min(apart["nobody"].values()) > 40
    assert max(apart["nobody"], key=apart["nobody"].__getitem__) == ("triangle", "log_abs")
    assert min(min(of_eye.values()) for of_eye in apart.values()) > 9
    assert len({look.marker for look in style.SHAPES.values()}) == len(style.SHAPES)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_colours_are_named_once(path: Path) -> None:
    """No picture has a colour of its own, or saves by itself."""
    if path.stem == "style":
        return
    words = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    assert not [word for word in words if isinstance(word, str) and word.startswith("#") and len(word) == 7]
    assert "savefig" not in path.read_text()
