"""Folders of pictures, which are rows of an array: the values that were written, and words about what was changed."""

import os
import struct
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image

from clearprop.data.preprocessing import Preprocessing
from clearprop.data.readers.reading import Reading
from clearprop.data.readers.sources import needs_streaming, read
from clearprop.data.table import load_table
from clearprop.errors import ClearpropError, DataError
from tests.data.png import png, png_of, save_pictures

RNG = np.random.default_rng(3)
GREY, COLOUR = (RNG.integers(0, 256, shape, dtype=np.uint8) for shape in ((4, 6), (4, 6, 3)))


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def saved(values, file="a/0.png", **chunks):
    written(png(values, **chunks), file)


def written(content, file="a/0.png"):
    path = Path("pictures") / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def pixels(frame, shape):
    features = [column.values for column in frame.columns if column.name.startswith("x[")]
    return np.rint(np.stack(features, axis=1) * 255).astype(int).reshape(-1, *shape)


def test_rows_are_the_pictures_in_the_order_of_their_names():
    written = save_pictures(Path("pictures"), 3, (4, 6, 3), ("b", "a"))
    frame = read("pictures")
    order = sorted(written)
    assert frame["file"].values.tolist() == order and frame["class"].values.tolist() == [name[0] for name in order]
    np.testing.assert_array_equal(pixels(frame, (4, 6, 3)), [written[name] for name in order])
    assert (frame.target, frame.notes, frame.place("x[0, 0, 0]", 1)) == ("class", (), "pictures/a/001.png")


def test_a_single_picture_is_one_row():
    saved(GREY, "one.png")
    frame = read("pictures/one.png")
    np.testing.assert_array_equal(pixels(frame, (4, 6, 1))[0, ..., 0], GREY)
    assert frame["file"].values.tolist() == ["one.png"] and frame.target is None


def over_white(values):
    colour, share = values[..., :3].astype(int), values[..., 3:] / 255
    return np.rint(colour * share + 255 * (1 - share))


KINDS = {
    "grey": (GREY, lambda v: v[..., None], ""),
    "colours": (COLOUR, lambda v: v, ""),
    "colours with transparent places": (
        np.dstack([COLOUR, GREY]), over_white, "1 picture with transparent places, laid over white"),
    "grey with transparent places": (
        np.dstack([GREY, GREY[::-1]]), lambda v: over_white(v[..., [0, 0, 0, 1]])[..., :1],
        "1 picture with transparent places, laid over white"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_gives_the_values_that_were_written(kind):
    values, expected, note = KINDS[kind]
    saved(values)
    frame, wanted = read("pictures"), expected(values)
    assert abs(pixels(frame, wanted.shape)[0] - wanted).max() <= (1 if note else 0)  # blending rounds
    assert frame.notes == ((note,) if note else ())


SMALL_DEPTHS = {1: b"\x1b", 2: b"\x1b", 4: b"\x01\x2f"}
"""Rows of grey values of so many bits: 0, 0, 0, 1, 1, 0, 1, 1; 0, 1, 2, 3; and 0, 1, 2, 15."""
CLEAR, DEEP = (
    "1 picture with transparent places, laid over white",
    "1 picture of 16 bits, of which the upper 8 are taken",
)
DEEP_GREY = np.array([[1000, 2000, 1001], [40000, 65535, 232]], dtype=np.uint16)


def key(*values):
    """The chunk that says which value is transparent."""
    return {"before": [(b"tRNS", struct.pack(f">{len(values)}H", *values))]}


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("clear", [None, 0, 1, 2, 1000])
def test_grey_values_of_every_depth_and_the_one_that_is_transparent(depth, clear):
    if clear is not None and clear >= 2**depth:
        return
    chunks = {} if clear is None else key(clear)
    values = {1: [0, 0, 0, 1, 1, 0, 1, 1], 2: [0, 1, 2, 3], 4: [0, 1, 2, 15], 8: [0, 1, 2, 255]}.get(depth)
    values = DEEP_GREY if values is None else np.array([values], dtype=np.uint8)
    if depth >= 8:
        saved(values, **chunks)
    else:
        written(png_of([SMALL_DEPTHS[depth]], values.shape, depth, 0, **chunks))
    expected = [[255 if v == clear else (v >> 8 if depth == 16 else v * 255 // (2**depth - 1)) for v in row]
                for row in values.tolist()]  # fmt: skip
    frame = read("pictures")
    assert pixels(frame, values.shape)[0].tolist() == expected
    assert frame.notes == ((CLEAR,) if clear is not None else ()) + ((DEEP,) if depth == 16 else ())


PALETTE = (b"PLTE", bytes([10, 20, 30, 40, 50, 60, 70, 80, 90]))


def test_palettes_with_transparent_colours_and_grey_of_16_bits_with_a_share_of_it():
    written(png_of([bytes([0, 1, 2, 1])], (1, 4), 8, 3, before=[PALETTE, (b"tRNS", bytes([255, 0]))]))
    white = [255, 255, 255]
    assert pixels(read("pictures"), (4, 3))[0].tolist() == [[10, 20, 30], white, [70, 80, 90], white]
    saved(np.array([[[0x1000, 0xFFFF], [0x2000, 0x8000]]], dtype=np.uint16))
    frame = read("pictures")
    assert pixels(frame, (1, 2))[0].tolist() == [[16, round(32 * 128 / 255 + 127)]]
    assert frame.notes == (CLEAR, DEEP)


SIDE = Image.Exif()
SIDE[0x0112] = 6
XMP = b'XML:com.adobe.xmp\0\0\0\0\0<rdf:Description tiff:Orientation="6"/>'


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("chunk", [(b"eXIf", SIDE.tobytes()[6:]), (b"iTXt", XMP)])
def test_a_picture_is_turned_wherever_its_file_says_so(chunk, place):
    saved(COLOUR, **{place: [chunk]})
    np.testing.assert_array_equal(pixels(read("pictures"), (6, 4, 3))[0], np.rot90(COLOUR, -1))


def test_of_a_picture_that_moves_the_first_is_taken_and_told():
    Path("pictures").mkdir()
    first = Image.fromarray(GREY)
    first.save("pictures/0.png", save_all=True, append_images=[Image.fromarray(GREY[::-1])])
    frame = read("pictures")
    np.testing.assert_array_equal(pixels(frame, (4, 6))[0], GREY)
    assert frame.notes == ("1 picture of several images, of which the first is taken",)


def test_no_picture_of_a_class_is_passed_over():
    """Cameras begin names with `_`, and so do classes such as `_noise_`; a class without pictures is told."""
    for file in ("a/0.png", "a/_MG_1.png", "_noise_/0.png"):
        saved(GREY, file)
    Path("pictures/b").mkdir()
    frame = read("pictures")
    assert frame["file"].values.tolist() == ["_noise_/0.png", "a/0.png", "a/_MG_1.png"]
    assert frame.notes == ("1 subfolder without pictures, of which no class is made: b",)


def test_a_picture_on_its_side_is_turned_and_palettes_are_colours():
    Path("pictures").mkdir()
    turned = Image.fromarray(COLOUR)
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save("pictures/turned.png", exif=exif)
    np.testing.assert_array_equal(pixels(read("pictures"), (6, 4, 3))[0], np.rot90(COLOUR, -1))
    Image.fromarray(COLOUR).quantize(24).save("pictures/turned.png")
    np.testing.assert_array_equal(pixels(read("pictures"), (4, 6, 3))[0], COLOUR)


def test_grey_beside_colours_is_colour_and_is_told():
    saved(GREY, "a/0.png")
    saved(COLOUR, "b/0.png")
    frame = read("pictures")
    np.testing.assert_array_equal(pixels(frame, (4, 6, 3))[0], np.dstack([GREY] * 3))
    assert frame.notes == ("1 picture grey, taken as colours with three equal channels, since others have colours",)


def test_a_size_resizes_all_and_says_so():
    saved(GREY, "a/0.png")
    saved(np.full((8, 16), 77, dtype=np.uint8), "b/0.png")
    frame = read("pictures", reading=Reading(size="4x6"))
    np.testing.assert_array_equal(pixels(frame, (4, 6))[0], GREY)
    assert (pixels(frame, (4, 6))[1] == 77).all() and frame.notes == ("1 picture resized to 4 × 6",)


def test_files_of_other_kinds_are_left_out_and_named_and_hidden_ones_passed_over():
    saved(GREY)
    for name in ("pictures/a/notes.txt", "pictures/.DS_Store", "pictures/a/._0.png", "pictures/a/Thumbs.db"):
        Path(name).write_text("")
    frame = read("pictures")
    assert frame.rows == 1 and frame.notes == ("1 file left out, no PNG or JPEG: notes.txt",)


def test_subfolders_train_and_test_set_rows_aside():
    for part, rows in (("train", 4), ("test", 2)):
        save_pictures(Path("pictures") / part, rows, seed=rows)
    table = load_table("pictures")
    assert sorted(set(table.target.values)) == ["left", "right"] and len(table) == 12
    assert [table.identifiers[0].values[row][:5] for row in table.test_rows] == ["test/"] * 4


def test_what_a_run_learned_is_what_pictures_to_predict_become():
    """Channels are those of the training; sizes are, if they were resized there, and refused where they were not."""
    written = save_pictures(Path("grey"), 4)
    saved(np.dstack([GREY] * 3), "x.png")
    resized = Preprocessing.fit(load_table("grey", reading=Reading(size="4x6")))
    assert Preprocessing.from_json(resized.to_json()) == resized
    encoded = resized.encode("pictures/x.png", keep=["file"])
    assert encoded.kept[0].values.tolist() == ["x.png"]
    assert encoded.report.lines() == ["1 picture with colours, taken as grey values, as those of the training were"]
    np.testing.assert_allclose(
        encoded.x[0] * resized.columns[0].scale + resized.columns[0].centre, GREY.ravel() / 255, atol=1e-6
    )
    assert resized.encode("grey").report.lines() == ["8 pictures resized to 4 × 6"]
    as_they_are = Preprocessing.fit(load_table("grey"))
    with pytest.raises(DataError) as error:
        as_they_are.encode("pictures/x.png")
    assert (error.value.got, error.value.try_) == ("4 × 6", "--size 8x8")
    assert len(as_they_are.encode("pictures/x.png", said=Reading(size="8x8")).x) == 1
    saved(GREY[:2], "y.png")
    with pytest.raises(DataError, match="the pictures differ in size") as error:
        as_they_are.encode("pictures")
    assert error.value.try_ == "--size 8x8, which stretches where the shape differs"
    assert len(written) == len(as_they_are.encode("grey", with_target=True).y)


def broken():
    saved(GREY)
    Path("pictures/a/0.png").write_bytes(png(GREY)[:60])


def bomb():
    Path("pictures/a").mkdir(parents=True)
    Path("pictures/a/0.png").write_bytes(png(GREY, size=(100_000, 9_000)))


def large():
    Path("pictures/a").mkdir(parents=True)
    Path("pictures/a/0.png").write_bytes(png(GREY, size=(10_000, 9_000)))


def several_sizes():
    saved(GREY, "a/0.png")
    saved(GREY, "a/1.png")
    saved(COLOUR[:2], "b/0.png")


def beside():
    saved(GREY, "a/0.png")
    saved(GREY, "1.png")


def text_with_this_name():
    saved(GREY)
    Path("pictures/a/0.png").write_text("no picture at all")


def deeper():
    saved(GREY, "a/0.png")
    saved(GREY, "b/c/0.png")


def link():
    saved(GREY, "a/0.png")
    Path("pictures/a/1.png").symlink_to("nowhere")


def pipe():
    saved(GREY, "a/0.png")
    os.mkfifo("pictures/a/1.png")


MESSAGES = {
    "in a folder of a class": (
        deeper, {}, "'pictures' holds pictures in a folder within that of a class", "pictures in b/c"),
    "a link": (link, {}, "cannot read 'pictures/a/1.png' as a picture", "a link that leads nowhere"),
    "a pipe": (pipe, {}, "cannot read 'pictures/a/1.png' as a picture", "no file, but a pipe"),
    "no text as its name": (
        lambda: saved(GREY, os.fsdecode(b"a\xff/0.png")), {}, "the name 'pictures/a\\udcff/0.png' is no text", "UTF-8"),
    "a colour that is none": (
        lambda: written(png_of([bytes([0, 200])], (1, 2), 8, 3, before=[PALETTE])), {},
        "cannot read 'pictures/a/0.png' as a picture", "a number of a colour that its palette does not have"),
    "a transparent colour of 16 bits": (
        lambda: saved(np.zeros((2, 2, 3), dtype=np.uint16), **key(1, 2, 3)), {},
        "cannot read 'pictures/a/0.png' as a picture", "a transparent colour of 16 bits"),
    "broken": (broken, {}, "cannot read 'pictures/a/0.png' as a picture", "pictures/a/0.png"),
    "text": (text_with_this_name, {}, "cannot read 'pictures/a/0.png' as a picture", "no PNG or JPEG"),
    "a bomb": (bomb, {}, "the picture 'pictures/a/0.png' is too large", "hundreds of millions of pixels"),
    "too many pixels": (large, {}, "the picture 'pictures/a/0.png' is too large", "10,000 × 9,000 pixels in"),
    "several sizes": (
        several_sizes, {}, "the pictures differ in size", "2 pictures of 4 × 6, 1 picture of 2 × 6"),
    "too many values": (
        lambda: saved(np.zeros((300, 300), dtype=np.uint8)), {}, "the pictures are too large to learn from as they are",
        "90,000: 300 × 300 × 1"),
    "beside subfolders": (
        beside, {}, "'pictures' holds pictures beside subfolders of pictures", "1 picture beside the subfolders"),
    "too deep": (lambda: saved(GREY, "a/b/0.png"), {}, "'pictures' holds no picture", "try       train/CLASS/…"),
    "no subfolders": (
        lambda: saved(GREY, "0.png"), {}, "these pictures have no classes", "try       move each picture into"),
    "one class": (lambda: saved(GREY), {}, "the target 'class' has one class only", "'a'"),
    "no size": (lambda: saved(GREY), {"size": "32"}, "--size cannot be '32'", "--size 32x32"),
    "a size of nothing": (lambda: saved(GREY), {"size": "0x4"}, "--size cannot be '0x4'", "--size 32x32"),
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_what_cannot_be_learned_from_is_one_message_of_four_parts(name):
    make, words, headline, part = MESSAGES[name]
    make()
    with pytest.raises(ClearpropError) as error:
        load_table("pictures", reading=Reading(**words))
    text = str(error.value)
    assert text.splitlines()[0] == headline and part in text
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["expected", "got", "where", "try"]


def test_a_size_beside_a_table_is_refused():
    for source in ("iris", {"a": [1, 2], "b": [0, 1]}):
        with pytest.raises(ClearpropError, match="--size is for pictures"):
            load_table(source, reading=Reading(size="4x4"))
    Path("t.csv").write_text("a,b\n1,2\n2,3\n")
    with pytest.raises(ClearpropError, match="--size is for pictures"):
        needs_streaming("t.csv", 10, Reading(size="4x4"))


def test_pictures_that_take_more_than_memory_are_refused():
    saved(GREY)
    assert not needs_streaming("pictures", 10_000)
    with pytest.raises(DataError, match="does not fit into the memory") as error:
        needs_streaming("pictures", 100)
    assert "--size 32x32" in error.value.try_


def test_without_pillow_it_is_said_what_to_install():
    saved(GREY)
    with patch.dict("sys.modules", {"PIL": None}), pytest.raises(DataError) as error:
        read("pictures")
    assert error.value.try_ == "pip install 'clearprop[images]'"
