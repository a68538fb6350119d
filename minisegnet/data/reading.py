"""Pictures and label maps from files, and back into files.

A picture becomes (H, W, C), a label map (masks, in the folders of data sets) (H, W). Whatever a file hides that would
change its numbers in silence is an error instead: labels blurred by JPEG, four bands of which one would be dropped,
several pictures in one file. Files that are damaged give one clear ``ValueError``; but not every damage can be noticed.
"""

import base64
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.json_files import read_json
from minisegnet.data.palettes import Colour, Palette, as_hex
from minisegnet.files import write_atomically
from minisegnet.ops import checks
from minisegnet.sizes import Pair

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".jp2", ".pgm", ".ppm", ".npy")
MOST_PIXELS = 250_000_000
STRIP_PIXELS = 2**22  # of large pictures so much is worked on at a time
VOID: Colour = (224, 224, 192)  # what VOC paints pixels in that are ignored
TIFF = (".tif", ".tiff")
MOST_PAGES = 4096
MOST_TOLD = 256  # colours of a mask that nobody named
ORIENTATION = 0x0112  # the EXIF tag: how the camera was held
FEWER_BITS = {"L;2": 85, "L;4": 17}  # Pillow stretches grey of 2 and 4 bits to 0..255, by these factors

_opening = threading.Lock()


# ---------------------------------------------------------------------------------------------------------
# Pictures


class PaintedMask(ValueError):
    """A mask in colours, and nobody says which class each is; ``colours`` are the first 257."""

    def __init__(self, text: str, colours: Palette) -> None:
        super().__init__(text)
        self.colours = colours


def read_image(path: str | Path, *, max_pixels: int = MOST_PIXELS) -> Array:
    """Read a picture.

    Parameters
    ----------
    path
        PNG, JPEG, TIFF, WebP, BMP and what else Pillow reads; or ``.npy``: (H, W) or (H, W, C) of bool, uint8, uint16,
        or floats from 0 to 1, with any number of channels. A TIFF of several grey pages has a channel for each.
    max_pixels
        A larger picture is refused before it is unpacked, or all pages together. A small file can claim any size.

    Returns
    -------
    image
        (H, W, C), upright as the camera was held (EXIF). Grey has one channel a page: uint8, uint16 where the file has
        16 bits, float32 where it has floats. Colours have three, uint8; palettes become colours. Transparent pixels are
        laid over white, as a browser shows them; so alpha never becomes a channel.

    Raises
    ------
    ValueError
        The file is damaged, too large, no picture, or holds more than would be read: several pictures other than grey
        pages of one size and kind, a fourth band, 16-bit colours (of which Pillow drops the lower half). The last two
        can be stored as ``.npy``.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        return _image_from_array(path, _read_npy(path, max_pixels))
    if path.suffix.lower() in TIFF and (stacked := _stacked_pages(path, max_pixels)) is not None:
        return stacked
    image, packing = _decode(path, max_pixels)
    if packing.startswith("RGBX") and image.format == "TIFF":
        raise ValueError(f"{path} has bands beside red, green and blue, which would be lost; {SAVE_NPY}")
    if ";16" in packing and not image.mode.startswith("I"):
        raise ValueError(f"{path} has colours of 16 bits, of which only 8 would be read; {SAVE_NPY}")
    if image.mode == "F":
        return _checked_floats(path, np.array(image))[:, :, None]  # (H, W, 1)
    if image.mode.startswith("I"):
        return _sixteen_bits(path, image)[:, :, None]  # (H, W, 1)
    a = _pixels(_to_grey_or_colour(path, image))
    return a[:, :, None] if a.ndim == 2 else a  # (H, W, 1 or 3)


def _pixels(image: "Image.Image") -> Array:
    """Copy the pixels out of a picture of mode L or RGB, strip by strip: Pillow copies what it hands over twice."""
    W, H = image.size
    a = np.empty((H, W) if image.mode == "L" else (H, W, 3), np.uint8)
    rows = max(STRIP_PIXELS // W, 1)
    for top in range(0, H, rows):
        bottom = min(top + rows, H)
        a[top:bottom] = np.asarray(image.crop((0, top, W, bottom)))
    return a


def _stacked_pages(path: Path, max_pixels: int) -> Array | None:
    """Read a TIFF of several pages as the channels of one picture, (H, W, pages); None if it has one page only."""
    from PIL import ImageOps

    with _header(path) as image:
        pages = _count_pictures(path, image)
        if pages == 1:
            return None
        H, W = image.height, image.width
        if H * W * pages > max_pixels:
            raise ValueError(
                f"{path} has {pages} pages of {H} x {W} pixels (height x width), {H * W * pages:,} in all; expected at "
                f"most {max_pixels:,}. Cut it into pieces, or allow more: max_pixels"
            )
        channels = []
        for page in range(pages):
            with _one_error(path):
                image.seek(page)
            if (image.height, image.width) != (H, W):
                raise ValueError(
                    f"{path} holds {pages} pictures, and page {page + 1} is {image.height} x {image.width} pixels "
                    f"large, the first {H} x {W}; expected pages of one size as channels, or one page"
                )
            with _one_error(path):
                upright = ImageOps.exif_transpose(image)
            channels.append(_grey_page(path, upright, page + 1))
    kinds = sorted({str(channel.dtype) for channel in channels})
    if len(kinds) > 1 or len({channel.shape for channel in channels}) > 1:
        raise ValueError(
            f"{path} has pages of {' and '.join(kinds)}, or turned apart; expected all of one kind"
        )
    return np.stack(channels, axis=2)  # (H, W, pages)


def _grey_page(path: Path, image: "Image.Image", number: int) -> Array:
    """Return one page, (H, W) uint8, uint16 or float32."""
    if image.mode == "F":
        return _checked_floats(path, np.array(image))
    if image.mode.startswith("I"):
        return _sixteen_bits(path, image)
    if image.mode not in ("1", "L"):
        raise ValueError(
            f"{path} has several pages, and page {number} has the mode {image.mode}; expected grey ones, a channel "
            "each. Save pictures as files of their own, or stack their channels as .npy"
        )
    return np.array(image.convert("L"))


SAVE_NPY = "save it as .npy instead: np.save('picture.npy', array of uint8 or uint16, (H, W, C))"


def _to_grey_or_colour(path: Path, image: "Image.Image") -> "Image.Image":
    """Bring any mode to L or RGB."""
    from PIL import Image

    kind, layers = ("L", "LA") if _channels(image.mode) == 1 else ("RGB", "RGBA")
    with _one_error(path):  # a few rare modes have no way to RGB
        if not image.has_transparency_data:
            return image if image.mode == kind else image.convert(kind)  # which would copy it
        layered = image.convert(layers)
    alpha = layered.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return layered.convert(kind)
    if image.format == "TIFF":
        raise ValueError(
            f"{path} has {len(layers)} bands, and the last may be transparency or a measurement, nobody can say; "
            f"leave it out, or {SAVE_NPY}"
        )
    white = Image.new(kind, image.size, "white")
    white.paste(layered.convert(kind), mask=alpha)
    return white


def _sixteen_bits(path: Path, image: "Image.Image") -> Array:
    """Grey values of modes I (32 bits) and I;16, (H, W) uint16."""
    a = np.array(image)
    if a.dtype.itemsize > 2 and a.size and (a.min() < 0 or a.max() > 65535):
        raise ValueError(
            f"{path} holds integers from {a.min()} to {a.max()}; expected 0 to 65535 (16 bits): scale them, or "
            f"{SAVE_NPY}"
        )
    return a.astype(np.uint16, copy=False)


def _image_from_array(path: Path, a: Array) -> Array:
    if a.ndim not in (2, 3):
        raise ValueError(f"{path} has shape {a.shape}; expected (H, W) or (H, W, C)")
    if a.ndim == 2:
        a = a[:, :, None]  # (H, W, 1)
    if a.dtype == bool:
        return a.astype(np.uint8) * np.uint8(255)
    if a.dtype.kind == "f":
        return _checked_floats(path, a)
    if a.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise ValueError(f"{path} holds {a.dtype}; expected bool, uint8, uint16, or floats from 0 to 1")
    return a.astype(a.dtype.newbyteorder("="), copy=False)


def _checked_floats(path: Path, a: Array) -> Array:
    low, high = a.min(), a.max()
    if not (low >= 0 and high <= 1):  # this way NaN is refused, too
        raise ValueError(f"{path} holds floats from {low} to {high}; expected 0 to 1: scale them first")
    return a.astype(np.float32, copy=False)


# ---------------------------------------------------------------------------------------------------------
# Label maps


def read_mask(path: str | Path, *, max_pixels: int = MOST_PIXELS) -> Array:
    """Read a label map: the numbers as they stand in the file.

    Parameters
    ----------
    path
        Grey of any number of bits, black and white (0 and 1), a palette (its indices are the labels, whatever their
        colours), RGB with three equal channels; or ``.npy``: (H, W) of bool or integers.
    max_pixels
        As for :func:`read_image`.

    Returns
    -------
    labels
        (H, W), uint8, or uint16 where the file has more than 8 bits; upright as the picture is (EXIF).

    Raises
    ------
    ValueError
        The file is damaged, no label map, or one whose labels can't be known: colours, JPEG, transparency.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        return _labels_from_array(path, _read_npy(path, max_pixels))
    image, packing = _decode(path, max_pixels)
    _refuse_jpeg(path, image)
    mode, a = image.mode, np.array(image)
    if mode == "1":
        return a.astype(np.uint8)
    if mode.startswith("I"):
        return _labels_from_array(path, a)
    if mode == "F":
        raise ValueError(f"{path} holds floats; expected whole numbers, one label for each pixel")
    _refuse_transparency(path, mode, a)
    if mode in ("P", "PA", "L", "LA"):
        labels = a if a.ndim == 2 else a[..., 0]  # (H, W)
        return np.ascontiguousarray(labels // np.uint8(FEWER_BITS.get(packing, 1)))
    if mode not in ("RGB", "RGBA", "RGBX") or ";16" in packing:
        raise ValueError(
            f"{path} has the mode {mode} ({packing}); expected grey or a palette: one label for each pixel"
        )
    return _equal_channels(path, a)


class ColourPicture(NamedTuple):
    """A picture with colours: each pixel's own, or indices into a palette."""

    pixels: Array  # (H, W, 3) uint8; with a palette (H, W) uint8
    palette: Palette | None

    def used(self) -> list[Colour]:
        """Return the colours that a palette picture really has."""
        palette = self.palette or ()
        indices = np.flatnonzero(np.bincount(self.pixels.ravel(), minlength=256)).tolist()
        return [palette[k] if k < len(palette) else (0, 0, 0) for k in indices]

    def colours(self) -> Array:
        """Return each pixel's colour, (H, W, 3) uint8."""
        if self.palette is None:
            return self.pixels
        table = np.zeros((256, 3), np.uint8)
        table[: len(self.palette)] = self.palette
        return table[self.pixels]


def read_colours(path: str | Path, *, max_pixels: int = MOST_PIXELS) -> ColourPicture | None:
    """Read a label map whose colours are meant; None where it has none: grey, or an array.

    Raises
    ------
    ValueError
        As for :func:`read_mask`: damaged, a JPEG, transparent pixels.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        return None
    image, packing = _decode(path, max_pixels)
    _refuse_jpeg(path, image)
    if image.mode in ("P", "PA"):
        indices = np.array(image)
        return ColourPicture(indices if indices.ndim == 2 else indices[..., 0], _palette_of(image))
    if image.mode not in ("RGB", "RGBA", "RGBX") or ";16" in packing:
        return None
    a = np.array(image)
    _refuse_transparency(path, image.mode, a)
    return ColourPicture(a[..., :3], None)


def _refuse_jpeg(path: Path, image: "Image.Image") -> None:
    if image.format in ("JPEG", "MPO"):
        raise ValueError(f"{path} is a JPEG, which changes labels when it is saved; save masks as PNG")


def _refuse_transparency(path: Path, mode: str, a: Array) -> None:
    if mode in ("LA", "RGBA") and (a[..., -1] != 255).any():
        raise ValueError(
            f"{path} has transparent pixels; expected a label for each pixel, without transparency"
        )


def _palette_of(image: "Image.Image") -> Palette:
    numbers = image.getpalette("RGB") or []
    return tuple((r, g, b) for r, g, b in zip(*[iter(numbers)] * 3, strict=True))


def _labels_from_array(path: Path, a: Array) -> Array:
    if a.ndim != 2:
        raise ValueError(f"{path} has shape {a.shape}; expected (H, W), one label for each pixel")
    if a.dtype.kind not in "biu":
        raise ValueError(f"{path} holds {a.dtype}; expected bool or integers, one label for each pixel")
    if a.dtype.itemsize > 1 and (a.min() < 0 or a.max() > 65535):
        raise ValueError(f"{path} holds labels from {a.min()} to {a.max()}; expected 0 to 65535")
    if a.dtype == np.int8 and a.min() < 0:
        raise ValueError(f"{path} holds label {a.min()}; expected 0 or more")
    return a.astype(np.uint8 if a.dtype.itemsize == 1 else np.uint16)


def _equal_channels(path: Path, a: Array) -> Array:
    """Take grey that was stored as colour, (H, W, 3 or 4) to (H, W)."""
    red, green, blue = a[..., 0], a[..., 1], a[..., 2]
    if (red == green).all() and (green == blue).all():
        return np.ascontiguousarray(red)
    packed = np.unique((red.astype(np.int32) << 16) | (green.astype(np.int32) << 8) | blue)
    colours = [(int(c >> 16), int(c >> 8 & 255), int(c & 255)) for c in packed[: MOST_TOLD + 1].tolist()]
    raise PaintedMask(
        f"{path} is a colour picture with {len(packed)} colours ({', '.join(map(str, colours[:4]))}"
        f"{' ...' if len(packed) > 4 else ''}); expected one label for each pixel: 0, 1, 2 ... Name the colours in the "
        f"data set's classes.txt, one a line ({as_hex(colours[:4][-1])} = name), or replace each by its label, "
        f"labels[(colours == {colours[:4][-1]}).all(axis=2)] = 1, "
        "and save them with "
        "minisegnet.data.reading.write_mask",
        tuple(colours),
    )


def read_palette(path: str | Path) -> Palette | None:
    """Return the colours of a palette's indices; None if the file has no palette.

    A palette of greys alone is None, too: it says nothing that the numbers don't.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        return None
    with _header(path) as image:
        if image.mode not in ("P", "PA"):
            return None
        _check_size(path, (image.height, image.width), MOST_PIXELS)
        with _one_error(path):
            palette = _palette_of(image)  # this unpacks the pixels, too
    return None if all(r == g == b for r, g, b in palette) else palette


# ---------------------------------------------------------------------------------------------------------
# Headers


class Header(NamedTuple):
    """What can be known of a picture without unpacking it."""

    size: Pair  # (H, W), upright
    channels: int


def read_header(path: str | Path, *, max_pixels: int = MOST_PIXELS) -> Header:
    """Return size and number of channels that :func:`read_image` will give, from the first bytes of the file.

    In one case the size is not yet turned upright: a PNG that tells its orientation only after its pixels.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        shape = _mapped(path, max_pixels).shape
        return Header((shape[0], shape[1]), shape[2] if len(shape) > 2 else 1)
    with _header(path) as image:
        _check_size(path, (image.height, image.width), max_pixels)
        H, W = image.height, image.width
        if (
            image.format == "TIFF"
        ):  # of which some versions of Pillow give the size upright, and others as it lies
            W, H = (int(image.tag_v2[tag]) for tag in (256, 257))  # type: ignore[attr-defined]
        with _one_error(path):
            # To look for a PNG's orientation, Pillow would unpack it.
            looks = image.format != "PNG" or "exif" in image.info
            turned = looks and image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
        pages = _count_pictures(path, image) if image.format == "TIFF" and path.suffix.lower() in TIFF else 1
        return Header((W, H) if turned else (H, W), pages if pages > 1 else _channels(image.mode))


class Origin(NamedTuple):
    """How a picture is stored."""

    format: str  # what the file is, whatever its name says: "PNG", "JPEG" ...
    orientation: int  # EXIF: 1 upright, 3 upside down, 6 and 8 on its side, the others mirrored


def read_origin(path: str | Path) -> Origin:
    """Return how a picture file is stored, from its first bytes; of ``.npy`` there is nothing to say."""
    path = Path(path)
    with _header(path) as image, _one_error(path):
        looks = image.format != "PNG" or "exif" in image.info  # else Pillow would unpack it
        return Origin(image.format or "", image.getexif().get(ORIENTATION, 1) if looks else 1)


def _channels(mode: str) -> int:
    return 1 if mode in ("1", "L", "LA", "La", "F") or mode.startswith("I") else 3


# ---------------------------------------------------------------------------------------------------------
# Unpacking


@contextmanager
def _one_error(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged file into one kind of error."""
    try:
        yield
    except (MemoryError, FileNotFoundError, IsADirectoryError, PermissionError):
        raise  # these say what is wrong, and the file isn't it
    except Exception as error:
        raise ValueError(
            f"{path} can't be read: it is damaged, incomplete or no picture ({type(error).__name__}: {error}). "
            "Copy or save it again, or take it away"
        ) from error


@contextmanager
def _header(path: Path) -> "Iterator[Image.Image]":
    """Open a picture with its header read and nothing unpacked."""
    from PIL import Image

    # Pillow gets an open file, not its path. From a path it would map some TIFFs into memory, and those that lie on
    # their side come out scrambled (seen in version 13.0).
    with _opened(path) as file:
        # It only warns of pictures above 89 million pixels, and raises above twice that; our own check comes after. The
        # limit is one for the whole process, so only one of our threads changes it at a time, and puts it back.
        with _one_error(path), _opening:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                image = Image.open(file)
            finally:
                Image.MAX_IMAGE_PIXELS = limit
        with image:
            yield image


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file; an annotation file of labelme's stands for the copy of the picture that it holds."""
    if path.suffix.lower() != ".json":
        with path.open("rb") as file:
            yield file
        return
    content = read_json(path)
    data = content.get("imageData") if isinstance(content, dict) else None
    if not isinstance(data, str):
        raise ValueError(f"{path} holds no picture; expected one as text in imageData")
    with _one_error(path):
        picture = base64.b64decode(data)
    yield BytesIO(picture)


def _decode(path: Path, max_pixels: int) -> "tuple[Image.Image, str]":
    """Unpack a picture and turn it upright; also say how the file packs its pixels, such as "RGB;16B"."""
    from PIL import ImageOps

    with _header(path) as image:
        _check_size(path, (image.height, image.width), max_pixels)
        pictures = _count_pictures(path, image)
        with _one_error(path):
            packing = _packing(image)
        if pictures > 1:
            raise ValueError(
                f"{path} holds {pictures} pictures; expected one. Save each as a file of its own"
            )
        with _one_error(path):
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
    return image, packing


def _count_pictures(path: Path, image: Any) -> int:
    """Count the pictures in a file; those of a camera (MPO) are one and its previews."""
    if image.format == "MPO":
        return 1
    with _one_error(path):
        if image.format != "TIFF":
            return int(getattr(image, "n_frames", 1))
        for page in range(1, MOST_PAGES + 1):  # Pillow itself would follow a chain of any length
            try:
                image.seek(page)
            except EOFError:
                image.seek(0)
                return page
    raise ValueError(f"{path} has more than {MOST_PAGES} pages; expected at most so many")


def _packing(image: Any) -> str:
    tiles = getattr(image, "tile", None)
    if not tiles:
        return ""
    told = tiles[0][3]
    return str(told[0] if isinstance(told, tuple) and told else told)


def _check_size(path: Path, size: Pair, max_pixels: int) -> None:
    H, W = size
    if H < 1 or W < 1:
        raise ValueError(f"{path} is {H} x {W} pixels large (height x width); expected at least one")
    if H * W > max_pixels:
        raise ValueError(
            f"{path} is {H} x {W} pixels large (height x width), {H * W:,} in all; expected at most {max_pixels:,}. "
            "Cut it into pieces, or allow more: max_pixels (--max-pixels)"
        )


def _read_npy(path: Path, max_pixels: int) -> Array:
    return np.array(_mapped(path, max_pixels))


def _mapped(path: Path, max_pixels: int) -> Array:
    """Map an array into memory, so that a header that claims more than the file has takes no memory."""
    with _one_error(path):
        a: Array = np.lib.format.open_memmap(path, mode="r")  # never unpickles
    if a.ndim not in (2, 3) or 0 in a.shape:
        raise ValueError(f"{path} has shape {a.shape}; expected (H, W) or (H, W, C), each 1 or more")
    _check_size(path, (a.shape[0], a.shape[1]), max_pixels)
    return a


# ---------------------------------------------------------------------------------------------------------
# Writing


def write_mask(path: str | Path, labels: Array, palette: Sequence[Colour]) -> None:
    """Write a label map as PNG: a palette picture whose indices are the labels, so that it can be looked at as well.

    Parameters
    ----------
    path
        Ends in ``.png``. Written whole or not at all.
    labels
        (H, W), integers below the number of colours; or 255, if that many there aren't: pixels that are ignored.
    palette
        The colour of each class. More than 256 don't fit: then the file is grey with 16 bits.

    Examples
    --------
    >>> import tempfile
    >>> labels = np.array([[0, 1], [2, 255]], np.uint8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_mask(Path(folder, "labels.png"), labels, [(0, 0, 0), (230, 159, 0), (86, 180, 233)])
    ...     read_mask(Path(folder, "labels.png"))
    array([[  0,   1],
           [  2, 255]], dtype=uint8)
    """
    from PIL import Image

    labels = checks.array(labels, "labels", "write_mask")
    if labels.ndim != 2 or 0 in labels.shape:
        raise ValueError(f"write_mask: labels have shape {labels.shape}; expected (H, W), each 1 or more")
    rows = max(STRIP_PIXELS // labels.shape[1], 1)
    for top in range(0, len(labels), rows):
        _check_labels(checks.integers(labels[top : top + rows], "labels", "write_mask"), len(palette))
    if len(palette) > 256:
        _write_png(path, Image.fromarray(labels.astype(np.uint16, copy=False)))
        return
    picture = Image.fromarray(labels.astype(np.uint8, copy=False))
    # All 256 entries: of a short palette Pillow packs indices into fewer bits, and 255 would become another label.
    padded = [*palette, *[VOID] * (256 - len(palette))]
    picture.putpalette([channel for colour in padded for channel in colour])  # from now on its mode is P
    _write_png(path, picture)


def _check_labels(labels: Array, colours: int) -> None:
    wrong = labels[(labels < 0) | ((labels >= colours) & (labels != 255)) | (labels > 65535)]
    if wrong.size:
        raise ValueError(
            f"write_mask: labels hold {wrong[0]}, and the palette has {colours} colours; expected 0 to "
            f"{colours - 1}, or 255 for pixels that are ignored"
        )


def write_image(path: str | Path, image: Array) -> None:
    """Write a picture as PNG.

    Parameters
    ----------
    path
        Ends in ``.png``. Written whole or not at all.
    image
        (H, W) or (H, W, 1), uint8 or uint16: grey; (H, W, 3), uint8: colours.
    """
    from PIL import Image

    a = checks.array(image, "image", "write_image")
    if a.ndim == 3 and a.shape[2] == 1:
        a = a[:, :, 0]  # (H, W)
    grey = a.ndim == 2 and a.dtype in (np.uint8, np.uint16)
    if not (grey or (a.ndim == 3 and a.shape[2] == 3 and a.dtype == np.uint8)) or 0 in a.shape:
        raise ValueError(
            f"write_image: image has shape {a.shape} and dtype {a.dtype}; expected (H, W) or (H, W, 1) of uint8 or "
            "uint16, or (H, W, 3) of uint8"
        )
    _write_png(path, Image.fromarray(np.ascontiguousarray(a)))


def _write_png(path: str | Path, picture: "Image.Image") -> None:
    if Path(path).suffix.lower() != ".png":
        raise ValueError(
            f"the file is {str(path)!r}; expected a name that ends in .png: it keeps every number exact"
        )
    memory = BytesIO()
    picture.save(memory, format="PNG")
    write_atomically(path, memory.getvalue())
