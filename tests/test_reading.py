"""Pictures and label maps from files of every kind: exact, upright, and refused where they would be wrong."""

import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from layout_makers import pages
from PIL import Image

from minisegnet.arrays import Array
from minisegnet.data.palettes import default_palette, difference, voc_palette
from minisegnet.data.reading import (
    VOID,
    read_header,
    read_image,
    read_mask,
    read_palette,
    write_image,
    write_mask,
)

COLOURS = [(10, 20, 30), (200, 100, 50), (0, 255, 7)]
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
SIXTEEN = RNG.integers(0, 65536, (5, 7), np.uint16)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
LABELS = np.array([[0, 15, 255], [15, 0, 0]], np.uint8)


def save(path: Path, a: Array | Image.Image, **options: object) -> Path:
    picture = a if isinstance(a, Image.Image) else Image.fromarray(a)
    picture.save(path, **options)  # type: ignore[arg-type]
    return path


def palette_picture(indices: Array, colours: list[tuple[int, int, int]]) -> Image.Image:
    picture = Image.fromarray(indices)
    picture.putpalette([channel for colour in colours for channel in colour])
    return picture


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def png(H: int, W: int, *, depth: int, colour: int, rows: bytes) -> bytes:
    """Put a PNG together by hand; Pillow writes only some of the kinds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", W, H, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


# ---------------------------------------------------------------------------------------------------------
# Pictures


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "bmp"])
def test_colours_are_exact_in_formats_without_loss(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"a.{suffix}", RGB, **options)
    assert np.array_equal(read_image(path), RGB)
    assert read_header(path) == ((5, 7), 3)


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_formats_come_close(tmp_path: Path, suffix: str) -> None:
    smooth = np.broadcast_to(np.arange(32, dtype=np.uint8)[:, None, None] * 7, (32, 40, 3)).copy()
    image = read_image(save(tmp_path / f"a.{suffix}", smooth, quality=95))
    assert image.shape == smooth.shape and image.dtype == np.uint8
    assert np.abs(image.astype(int) - smooth).max() < 12


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_grey_has_one_channel(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a.{suffix}", GREY)
    assert np.array_equal(read_image(path), GREY[:, :, None])
    assert read_header(path) == ((5, 7), 1)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_exact(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a.{suffix}", SIXTEEN)
    image = read_image(path)
    assert image.dtype == np.uint16 and np.array_equal(image, SIXTEEN[:, :, None])
    assert read_mask(path).dtype == np.uint16 and np.array_equal(read_mask(path), SIXTEEN)
    assert read_header(path).channels == 1


def test_big_endian_sixteen_bits(tmp_path: Path) -> None:
    picture = Image.frombytes("I;16B", (7, 5), SIXTEEN.astype(">u2").tobytes())
    path = save(tmp_path / "a.tif", picture)
    for a in (read_image(path)[:, :, 0], read_mask(path)):
        assert a.dtype == np.uint16 and a.dtype.isnative and np.array_equal(a, SIXTEEN)


def test_thirty_two_bits_are_taken_if_they_fit(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", SIXTEEN.astype(np.int32))
    assert np.array_equal(read_image(path)[:, :, 0], SIXTEEN) and np.array_equal(read_mask(path), SIXTEEN)
    for value in (65536, -1):
        path = save(tmp_path / "b.tif", np.full((2, 2), value, np.int32))
        for read in (read_image, read_mask):
            with pytest.raises(ValueError, match=r"b\.tif holds .*0 to 65535"):
                read(path)


def test_black_and_white(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(GREY > 100))
    assert np.array_equal(read_image(path)[:, :, 0], (GREY > 100) * np.uint8(255))
    assert read_mask(path).dtype == np.uint8 and np.array_equal(read_mask(path), GREY > 100)


def test_palette_pictures_become_colours(tmp_path: Path) -> None:
    indices = (GREY % 3).astype(np.uint8)
    for suffix in ("png", "gif", "bmp"):
        path = save(tmp_path / f"a.{suffix}", palette_picture(indices, COLOURS))
        assert np.array_equal(read_image(path), np.array(COLOURS, np.uint8)[indices])
        assert read_header(path).channels == 3


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", Image.fromarray(RGB).convert("CMYK"))
    assert np.abs(read_image(path).astype(int) - RGB).max() <= 1


def test_floats(tmp_path: Path) -> None:
    floats = RNG.random((5, 7), np.float32)
    assert np.array_equal(read_image(save(tmp_path / "a.tif", floats))[:, :, 0], floats)
    for wrong in (floats * 3, floats - 1, np.where(floats > 0.5, np.nan, floats).astype(np.float32)):
        with pytest.raises(ValueError, match=r"b\.tif holds floats from .* expected 0 to 1"):
            read_image(save(tmp_path / "b.tif", wrong))


def test_opaque_alpha_is_left_out_and_transparency_laid_over_white(tmp_path: Path) -> None:
    opaque = np.dstack([RGB, np.full((5, 7), 255, np.uint8)])
    assert np.array_equal(read_image(save(tmp_path / "a.png", opaque)), RGB)
    clear = opaque.copy()
    clear[0, 0, 3], clear[1, 1] = 0, (100, 0, 200, 51)
    image = read_image(save(tmp_path / "b.png", clear))
    assert image[0, 0].tolist() == [255] * 3 and np.array_equal(image[2:], RGB[2:])
    assert image[1, 1].tolist() == [224, 204, 244]  # 255 + (x - 255) / 5
    grey = save(tmp_path / "c.png", Image.fromarray(np.dstack([GREY, GREY * 0]), "LA"))
    assert (read_image(grey) == 255).all() and read_image(grey).shape == (5, 7, 1)
    assert read_header(grey).channels == 1


def test_a_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", palette_picture(np.array([[0, 1]], np.uint8), COLOURS), transparency=0)
    assert read_image(path).tolist() == [[[255, 255, 255], list(COLOURS[1])]]
    assert read_mask(path).tolist() == [[0, 1]]


def test_bands_that_would_be_lost_are_refused(tmp_path: Path) -> None:
    four = save(tmp_path / "a.tif", np.dstack([RGB, GREY]))  # red, green, blue and, say, infrared
    with pytest.raises(ValueError, match=r"a\.tif has 4 bands.*\.npy"):
        read_image(four)
    extra = save(tmp_path / "x.tif", Image.merge("RGBX", Image.fromarray(np.dstack([RGB, GREY])).split()))
    with pytest.raises(ValueError, match=r"x\.tif has bands beside.*\.npy"):
        read_image(extra)
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in np.dstack([SIXTEEN] * 3))
    (tmp_path / "b.png").write_bytes(png(5, 7, depth=16, colour=2, rows=rows))
    with pytest.raises(ValueError, match=r"b\.png has colours of 16 bits.*\.npy"):
        read_image(tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"b\.png has the mode RGB \(RGB;16B\)"):
        read_mask(tmp_path / "b.png")


def test_several_pictures_in_a_file_are_refused(tmp_path: Path) -> None:
    for suffix, readers in (("tif", (read_mask,)), ("gif", (read_image, read_mask))):
        path = pages(tmp_path / f"a.{suffix}", GREY, 255 - GREY)
        for read in readers:
            with pytest.raises(ValueError, match="holds 2 pictures; expected one"):
                read(path)  # type: ignore[operator]


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("count", [2, 3, 5, 12])
@pytest.mark.parametrize("kind", ["grey", "sixteen", "floats", "black and white"])
def test_grey_pages_of_a_tiff_are_channels(
    tmp_path: Path, kind: str, count: int, compression: str | None
) -> None:
    stack = RNG.integers(0, 65536, (5, 7, count), np.uint16)
    frames, expected = {
        "grey": (stack.astype(np.uint8), stack.astype(np.uint8)),
        "sixteen": (stack, stack),
        "floats": (stack / np.float32(65535), stack / np.float32(65535)),
        "black and white": (stack > 30000, (stack > 30000) * np.uint8(255)),
    }[kind]
    path = pages(tmp_path / "a.tif", *np.moveaxis(frames, 2, 0), compression=compression)
    image = read_image(path)
    assert np.array_equal(image, expected) and image.dtype == expected.dtype
    assert read_header(path) == ((5, 7), count)


def test_pages_that_are_no_channels_are_refused(tmp_path: Path) -> None:
    for frames, words in (
        ((GREY, GREY[:3]), "page 2 is 3 x 7 pixels large, the first 5 x 7"),
        ((RGB, RGB), "page 1 has the mode RGB; expected grey ones"),
        ((GREY, SIXTEEN), "pages of uint16 and uint8"),
    ):
        path = pages(tmp_path / "a.tif", *frames)
        with pytest.raises(ValueError, match=rf"a\.tif .*{words}"):
            read_image(path)


def test_pages_are_turned_upright_and_counted_together(tmp_path: Path) -> None:
    path = pages(tmp_path / "a.tif", GREY, 255 - GREY, exif=exif(6))
    upright = TURNS[6](np.dstack([GREY, 255 - GREY]))
    assert read_header(path) == ((7, 5), 2)
    assert np.array_equal(read_image(path), upright)
    with pytest.raises(ValueError, match=r"2 pages of . x . pixels .*, 70 in all; expected at most 69"):
        read_image(path, max_pixels=69)
    assert read_image(path, max_pixels=70).shape == (7, 5, 2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.dtype(">u2"), bool])
def test_arrays(tmp_path: Path, dtype: object) -> None:
    a = (RNG.random((4, 6, 5)) * (1 if np.dtype(dtype).kind in "fb" else 200)).astype(dtype)  # type: ignore[call-overload]
    np.save(tmp_path / "a.npy", a)
    image = read_image(tmp_path / "a.npy")
    assert np.array_equal(
        image, a.astype(np.float32) if a.dtype.kind == "f" else a * np.uint8(255 if a.dtype == bool else 1)
    )
    assert image.dtype in (np.uint8, np.uint16, np.float32) and image.dtype.isnative
    assert type(image) is np.ndarray and image.flags.writeable
    assert read_header(tmp_path / "a.npy") == ((4, 6), 5)


def test_arrays_that_are_refused(tmp_path: Path) -> None:
    def refused(a: object, match: str, read: object = read_image) -> None:
        np.save(tmp_path / "a.npy", a, allow_pickle=True)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"a\.npy .*" + match):
            read(tmp_path / "a.npy")  # type: ignore[operator]

    refused(np.array([{}], dtype=object), "can't be read")
    refused(np.zeros((2, 2), np.int64), "holds int64; expected")
    refused(np.zeros(4, np.uint8), r"shape \(4,\)")
    refused(np.zeros((0, 4), np.uint8), "can't be read|shape")
    refused(np.zeros((2, 2, 1), np.uint8), r"expected \(H, W\)", read_mask)
    refused(np.zeros((2, 2)), "holds float64", read_mask)
    refused(np.array([[-1]], np.int8), "holds label -1", read_mask)
    refused(np.array([[70000]]), "70000; expected 0 to 65535", read_mask)


def test_an_array_that_claims_more_than_it_has(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, GREY)
    path.write_bytes(path.read_bytes().replace(b"(5, 7)", b"(9, 7)"))
    with pytest.raises(ValueError, match=r"a\.npy can't be read"):
        read_image(path)


# ---------------------------------------------------------------------------------------------------------
# Label maps


def test_palette_masks_keep_their_indices(tmp_path: Path) -> None:
    colours = list(voc_palette(256))
    for suffix in ("png", "bmp", "tif", "gif"):
        options = {"optimize": False} if suffix == "gif" else {}  # else Pillow numbers the colours anew
        path = save(tmp_path / f"a.{suffix}", palette_picture(LABELS, colours), **options)
        labels = read_mask(path)
        assert labels.dtype == np.uint8 and np.array_equal(labels, LABELS), suffix
    assert read_palette(tmp_path / "a.png") == tuple(colours)
    assert (
        read_palette(save(tmp_path / "g.png", palette_picture(LABELS, [(k, k, k) for k in range(256)])))
        is None
    )
    assert read_palette(save(tmp_path / "h.png", GREY)) is None


def test_grey_stored_as_colour_is_taken(tmp_path: Path) -> None:
    three = np.repeat(GREY[:, :, None], 3, axis=2)
    assert np.array_equal(read_mask(save(tmp_path / "a.png", three)), GREY)
    four = np.dstack([three, np.full_like(GREY, 255)])
    assert np.array_equal(read_mask(save(tmp_path / "b.png", four)), GREY)
    four[0, 0, 3] = 254
    with pytest.raises(ValueError, match=r"c\.png has transparent pixels"):
        read_mask(save(tmp_path / "c.png", four))


def test_a_colour_mask_says_how_many_colours_and_what_to_do(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.array(COLOURS, np.uint8)[GREY % 3])
    with pytest.raises(
        ValueError, match=r"a\.png is a colour picture with 3 colours \(\(0, 255, 7\).*write_mask"
    ):
        read_mask(path)


def test_masks_that_were_saved_as_jpeg_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.jpg is a JPEG.*PNG"):
        read_mask(save(tmp_path / "a.jpg", GREY))


def test_floats_are_no_labels(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.tif holds floats"):
        read_mask(save(tmp_path / "a.tif", GREY.astype(np.float32)))


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("colour", [0, 3])
def test_labels_of_few_bits_are_not_stretched(tmp_path: Path, depth: int, colour: int) -> None:
    labels = np.arange(8, dtype=np.uint8).reshape(1, 8) % 2**depth
    if colour == 3:
        path = save(tmp_path / "a.png", palette_picture(labels, COLOURS * 6), bits=depth)
    else:
        bits = np.array([[value >> shift & 1 for shift in reversed(range(depth))] for value in labels[0]])
        path = tmp_path / "a.png"
        rows = b"\x00" + np.packbits(bits.ravel()).tobytes()
        path.write_bytes(png(1, 8, depth=depth, colour=0, rows=rows))
    assert read_mask(path).tolist() == labels.tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, bool])
def test_label_arrays(tmp_path: Path, dtype: type) -> None:
    np.save(tmp_path / "a.npy", (LABELS > 0).astype(dtype))
    labels = read_mask(tmp_path / "a.npy")
    assert labels.dtype == (np.uint8 if dtype in (np.uint8, bool) else np.uint16)
    assert np.array_equal(labels, LABELS > 0)


# ---------------------------------------------------------------------------------------------------------
# Orientation

TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "packed.tif"])
def test_pictures_and_masks_are_turned_alike(tmp_path: Path, orientation: int, suffix: str) -> None:
    options = {"webp": {"lossless": True}, "packed.tif": {"compression": "tiff_lzw"}}.get(suffix, {})
    upright = TURNS[orientation]
    path = save(tmp_path / f"a.{suffix}", RGB, exif=exif(orientation), **options)
    assert np.array_equal(read_image(path), upright(RGB))
    assert read_header(path).size == upright(RGB).shape[:2]
    if suffix == "webp":
        return
    for a in (GREY, SIXTEEN, palette_picture(GREY, [(k, 0, 0) for k in range(256)])):
        path = save(tmp_path / f"b.{suffix}", a, exif=exif(orientation), **options)
        assert np.array_equal(read_mask(path), upright(np.asarray(a)))


def test_a_turned_jpeg(tmp_path: Path) -> None:
    half = np.zeros((16, 32), np.uint8)
    half[:, 16:] = 255
    path = save(tmp_path / "a.jpg", half, exif=exif(6), quality=95)  # the camera lay on its side
    image = read_image(path)[:, :, 0]
    assert image.shape == (32, 16) and read_header(path).size == (32, 16)
    assert image[:16].max() < 20 and image[16:].min() > 235


# ---------------------------------------------------------------------------------------------------------
# Damage


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "bmp"])
def test_truncated_files_give_one_error(tmp_path: Path, suffix: str) -> None:
    whole = save(tmp_path / f"whole.{suffix}", RNG.integers(0, 256, (40, 50, 3), np.uint8)).read_bytes()
    for part in (0, 1, 10, 30, len(whole) // 2, len(whole) * 9 // 10):
        path = tmp_path / f"cut.{suffix}"
        path.write_bytes(whole[:part])
        for read in (read_image, read_mask):
            with pytest.raises(ValueError, match=rf"cut\.{suffix} (can't be read|is a JPEG)"):
                read(path)


def test_other_files_give_the_same_error(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("This is no picture.")
    for read in (read_image, read_mask, read_header, read_palette):
        with pytest.raises(
            ValueError, match=r"a\.png can't be read: it is damaged, incomplete or no picture"
        ):
            read(path)  # type: ignore[operator]
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "b.png")


def test_damage_anywhere_gives_a_picture_or_one_error(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for suffix in ("png", "jpg"):
        whole = save(tmp_path / f"whole.{suffix}", RNG.integers(0, 256, (12, 10, 3), np.uint8)).read_bytes()
        for at in range(0, len(whole), 3):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
            try:
                read_image(path)
            except ValueError as error:
                assert "a.png" in str(error)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(20000, 20000, depth=8, colour=2, rows=b""))
    limit = Image.MAX_IMAGE_PIXELS
    for read in (read_image, read_mask, read_header):
        with pytest.raises(
            ValueError, match=r"a\.png is 20000 x 20000 .* 400,000,000 in all; expected at most 250,000,000"
        ):
            read(path)  # type: ignore[operator]
    assert limit == Image.MAX_IMAGE_PIXELS
    with pytest.raises(
        ValueError, match="can't be read"
    ):  # large, but allowed: then it is the content that is wrong
        read_image(path, max_pixels=400_000_000)


def test_pillows_limit_neither_warns_nor_stays_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.png", RGB)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # it would warn from 21 on and raise from 41 on
    assert np.array_equal(read_image(path), RGB)
    assert Image.MAX_IMAGE_PIXELS == 20
    with pytest.raises(ValueError, match="expected at most 30"):
        read_image(path, max_pixels=30)
    with pytest.raises(Warning):  # others still get Pillow's
        Image.open(path)


def test_threads_read_side_by_side(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", RGB)
    limit, wrong = Image.MAX_IMAGE_PIXELS, []

    def work() -> None:
        wrong.extend(k for k in range(40) if not np.array_equal(read_image(path), RGB))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and limit == Image.MAX_IMAGE_PIXELS


# ---------------------------------------------------------------------------------------------------------
# Writing


def test_masks_come_back_as_they_went(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for classes in (1, 2, 3, 5, 17, 256):
        labels = RNG.integers(0, classes, (9, 11)).astype(np.int64)
        labels[0, 0] = 255
        write_mask(path, labels, default_palette(classes))
        assert np.array_equal(read_mask(path), labels) and read_mask(path).dtype == np.uint8
        own = read_palette(path) or ((0, 0, 0), *[VOID] * 255)  # one class: black alone
        assert own[:classes] == default_palette(classes)
        with Image.open(path) as picture:
            assert picture.mode == "P"
    labels = RNG.integers(0, 300, (9, 11)).astype(np.uint16)
    write_mask(path, labels, default_palette(300))
    assert np.array_equal(read_mask(path), labels) and read_mask(path).dtype == np.uint16
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("image", [GREY, GREY[:, :, None], SIXTEEN, RGB, RGB[::2, ::-1]])
def test_pictures_come_back_as_they_went(tmp_path: Path, image: Array) -> None:
    write_image(tmp_path / "a.png", image)
    assert np.array_equal(read_image(tmp_path / "a.png").squeeze(), image.squeeze())
    assert read_image(tmp_path / "a.png").dtype == image.dtype


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"labels hold 3, and the palette has 3 colours; expected 0 to 2, or 255"
    ):
        write_mask(tmp_path / "a.png", np.array([[3]]), COLOURS)
    with pytest.raises(ValueError, match="labels hold -1"):
        write_mask(tmp_path / "a.png", np.array([[-1]]), COLOURS)
    with pytest.raises(ValueError, match=r"expected \(H, W\)"):
        write_mask(tmp_path / "a.png", np.zeros((1, 2, 2), int), COLOURS)
    with pytest.raises(TypeError, match="float64"):
        write_mask(tmp_path / "a.png", np.zeros((2, 2)), COLOURS)
    with pytest.raises(ValueError, match=r"ends in \.png"):
        write_mask(tmp_path / "a.jpg", LABELS, voc_palette(256))
    with pytest.raises(ValueError, match="dtype float64"):
        write_image(tmp_path / "a.png", np.zeros((2, 2, 3)))
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------------------
# Palettes


def test_voc_palette() -> None:
    palette = voc_palette(256)
    assert palette[:8] == (
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128), (128, 128, 128),
    )  # fmt: skip
    assert palette[8] == (64, 0, 0) and palette[15] == (192, 128, 128) and palette[255] == (224, 224, 192)
    assert len(set(palette)) == 256
    with pytest.raises(ValueError, match="256 colours"):
        voc_palette(257)


def test_default_palette_can_be_told_apart_by_all() -> None:
    palette = default_palette(20)
    pairs = [(a, b) for k, a in enumerate(palette) for b in palette[:k]]
    assert min(difference(a, b) for a, b in pairs) > 0.075
    assert min(difference(a, palette[0]) for a in palette[1:]) > 0.25  # only the background is almost black
    assert difference((255, 0, 0), (0, 140, 0)) < difference(
        (255, 0, 0), (0, 0, 255)
    )  # red and green: mistaken by some


def test_default_palettes_begin_alike_and_repeat_nothing() -> None:
    long = default_palette(1000)
    assert len(set(long)) == 1000 and all(0 <= channel <= 255 for colour in long for channel in colour)
    for classes in (1, 8, 9, 12, 256, 257):
        assert default_palette(classes) == long[:classes]
    with pytest.raises(ValueError, match="classes is 0"):
        default_palette(0)
