"""Pictures in files of their own, PNG and JPEG: a folder of them, one subfolder a class, or a single one.

Pillow decodes them, and nothing else than these two forms.  All pictures get the same size and the same channels, so
that they are rows of an array; what was changed for it is told.
"""

from __future__ import annotations

import importlib.util
import mmap
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import NAMES_FILE, Column, PictureForm, RowNumbers, name_list, quantity
from clearprop.data.readers.formats import MOST_COLUMNS, PICTURES, holds_pictures, require_name_in_utf8
from clearprop.errors import DataError, printable

TRAIN, TEST = "train", "test"
"""Two subfolders of these names, and no others, hold what trains and what tests, each with subfolders of classes."""
MOST_PIXELS = 1 << 26
"""A picture of more pixels is refused: a few bytes can say that they are many."""
MOST_SIZES = 4
"""So many sizes are named where pictures differ in size."""
_ORIENTATION = 0x0112
"""The tag of EXIF that says how a picture is turned."""
_TURNED = (b"eXIf", b"Orientation", b"Raw profile type")
"""One of these words is in every PNG that says how it is turned, before its pixels or behind them."""
_CLEAR = frozenset(("LA", "PA", "RGBA", "La", "RGBa"))
"""The modes of Pillow with a share of transparency in every place."""
_OF_SYSTEM = ("Thumbs.db", "desktop.ini", "__MACOSX")
_GREY = frozenset(("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N"))
_DEEP = frozenset(("I", "I;16", "I;16B", "I;16L", "I;16N"))
"""The modes of Pillow that hold grey values, and those of them with 16 bits."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures as they were read: values `(rows, height, width, channels)` uint8, and what each file is.

    `files` are their paths within the source, `classes` the names of their subfolders, None for files in none.
    `test_rows` are those that the source sets aside for the test.
    """

    values: NDArray[np.uint8]
    files: tuple[str, ...]
    classes: tuple[str, ...] | None
    form: PictureForm
    notes: tuple[str, ...]
    test_rows: RowNumbers | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """The names of the files, and the classes where there are some."""
        files = Column("file", "category", np.array(self.files, dtype=object), use=NAMES_FILE)
        if self.classes is None:
            return (files,)
        return files, Column("class", "category", np.array(self.classes, dtype=object))


def read_pictures(path: Path, source: str, size: tuple[int, int] | None, known: PictureForm | None) -> Pictures:
    """Read a picture, or all of a folder, in the order of their names.

    `size`, height and width, is what they are resized to; `known` is the form in which a run learned its pictures, to
    which these are brought: it gives the channels, and the size where those of the run were resized.

    Raises DataError for a folder without pictures, for pictures of several sizes without `size`, for one that is broken
    or too large, and where Pillow is missing.
    """
    _require_pillow(source)
    places, left_out = _places_of(path, source)
    names = [_name_of(source, path, place) for place in places]
    if size is None and known is not None and known.resized:
        size = known.height, known.width
    headers = [_header(place, name) for place, name in zip(places, names, strict=True)]
    shown = _one_size(headers, names, source, known) if size is None else size
    _require_known_size(shown, known, source)
    channels = known.channels if known is not None else _channels_of(headers)
    _require_few(shown, channels, source)
    values = np.empty((len(places), *shown, channels), dtype=np.uint8)
    for row, (place, name, header) in enumerate(zip(places, names, headers, strict=True)):
        values[row] = _values_of(place, name, header.turned, shown, channels)
    form = PictureForm(*shown, channels, resized=size is not None)
    notes = (*_notes(headers, shown, channels), *left_out)
    return Pictures(values, *_files_and_classes(path, places), form, notes, _test_rows(path, places))


def _files_and_classes(path: Path, places: Sequence[Path]) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """The paths of files within the source, and their classes; None where they lie in no subfolders."""
    if not path.is_dir():
        return (path.name,), None
    parts = [place.relative_to(path).parts for place in places]
    classes = None if len(parts[0]) == 1 else tuple(own[-2] for own in parts)
    return tuple("/".join(own) for own in parts), classes


def _test_rows(path: Path, places: Sequence[Path]) -> RowNumbers | None:
    """The rows of the subfolder `test`, where classes lie in `train` and `test`."""
    if not path.is_dir():
        return None
    parts = [place.relative_to(path).parts for place in places]
    rows = np.flatnonzero([len(own) == 3 and own[0] == TEST for own in parts])
    return rows if len(rows) else None


def values_in_pictures(path: Path, source: str, size: tuple[int, int] | None) -> int:
    """How many numbers the pictures hold at most, as `read_pictures` gives them, by their number and the first one.

    Raises what it raises.
    """
    _require_pillow(source)
    places, _ = _places_of(path, source)
    header = _header(places[0], _name_of(source, path, places[0]))
    height, width = size or header.size
    return len(places) * height * width * 3


# ------------------------------------------------------------------------------------------------------ which files
def _places_of(path: Path, source: str) -> tuple[list[Path], tuple[str, ...]]:
    """The files in the order of their names, and a note on others that are left out.  Raises DataError for none."""
    if not path.is_dir():
        return [path], ()
    # Pictures lie in folders of classes, or all beside each other; both, or none, is refused: which class is not said.
    folders, files = _class_folders(path)
    inside = [file for folder in folders for file in _inside(folder)[1]]
    loose, classed = _pictures_in(files), _pictures_in(inside)
    if loose and classed:
        raise DataError(
            f"{source!r} holds pictures beside subfolders of pictures",
            expected="one subfolder for each class and every picture in one of them, or pictures alone",
            got=f"{quantity(len(loose), 'picture')} beside the subfolders, such as {printable(loose[0].name)}",
            where=source,
            try_="move them into the subfolder of their class, or out of the folder",
        )
    if not loose and not classed:
        raise DataError(
            f"{source!r} holds no picture",
            expected="PNG or JPEG files in subfolders, one for each class",
            got=name_list([folder.name for folder in folders], 6) or "no subfolder",
            where=source,
            try_="train/CLASS/… and test/CLASS/…, or CLASS/… alone: no deeper folders",
        )
    if classed:
        _require_no_deeper(folders, source)
    others = [file.name for file in (*files, *inside) if not _is_picture(file)]
    empty = [folder.name for folder in folders if not _pictures_in(_inside(folder)[1])]
    told = [
        (others, f"{quantity(len(others), 'file')} left out, no PNG or JPEG: {name_list(others, 3)}"),
        (empty, f"{quantity(len(empty), 'subfolder')} without pictures, of which no class is made: "
         f"{name_list(empty, 3)}"),
    ]  # fmt: skip
    return classed or loose, tuple(note for names, note in told if names)


def _require_no_deeper(folders: Sequence[Path], source: str) -> None:
    """Raise DataError for pictures in a folder within the folder of a class."""
    for folder in folders:
        inner = next((sub for sub in _inside(folder)[0] if holds_pictures(sub)), None)
        if inner is not None:
            raise DataError(
                f"{source!r} holds pictures in a folder within that of a class",
                expected="every picture of a class in its folder itself",
                got=f"pictures in {printable(f'{folder.name}/{inner.name}')}",
                where=source,
                try_=f"move them into {printable(folder.name)}, or take that folder out",
            )


def _class_folders(path: Path) -> tuple[list[Path], list[Path]]:
    """The folders of classes, in `train` and `test` where there are these alone, and the files beside them."""
    folders, files = _inside(path)
    parts = [_inside(folder) for folder in folders]
    inner = [sub for subfolders, _ in parts for sub in subfolders]
    if {folder.name for folder in folders} != {TRAIN, TEST} or not inner:
        return folders, files
    return inner, files + [file for _, own in parts for file in own]


def _inside(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders and the files in a folder, by name; hidden ones and what systems leave there are passed over."""
    there = sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.name not in _OF_SYSTEM)
    return [p for p in there if p.is_dir()], [p for p in there if not p.is_dir()]


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES.suffixes


def _pictures_in(files: Sequence[Path]) -> list[Path]:
    return [file for file in files if _is_picture(file)]


def _name_of(source: str, path: Path, place: Path) -> str:
    """A file as the user would write it."""
    return source if place == path else f"{source.rstrip('/')}/{place.relative_to(path).as_posix()}"


# ---------------------------------------------------------------------------------------------------- one of them
@dataclass(frozen=True)
class _Header:
    """What a picture says before it is decoded: height and width as it is shown, colours, gaps, its side.

    `deep` is one of 16 bits, `moving` one of several pictures.
    """

    size: tuple[int, int]
    colour: bool
    clear: bool
    turned: bool
    deep: bool
    moving: bool


def _header(path: Path, where: str) -> _Header:
    _require_file(path, where)
    with _open_picture(path, where) as picture:
        width, height = picture.size
        form, moving = _stored_form(picture), picture.format == "PNG" and getattr(picture, "n_frames", 1) > 1
        clear = picture.mode in _CLEAR or "transparency" in picture.info
        try:
            place = picture.getexif().get(_ORIENTATION, 1) if _may_be_turned(picture, path) else 1
        except Exception as problem:  # as below
            raise _broken_error(where, problem) from None
        size = (width, height) if place in (5, 6, 7, 8) else (height, width)
        colour = picture.mode not in _GREY and form != "LA;16B"
        return _Header(size, colour, clear, place != 1, form.endswith(";16B"), moving)


def _require_file(path: Path, where: str) -> None:
    """Raise DataError for what only looks like a file, and for a name that is no text."""
    if not path.is_file():
        found = "a link that leads nowhere" if path.is_symlink() else "no file, but a pipe, a device or the like"
        raise _broken_error(where, FileNotFoundError(found))
    require_name_in_utf8(where)


def _stored_form(picture: Any) -> str:
    """How the values lie in a file of which the header alone has been read: L;2 for grey values of 2 bits."""
    return next((str(tile[3]) for tile in picture.tile), "") if picture.format == "PNG" else ""


def _may_be_turned(picture: Any, path: Path) -> bool:
    """Whether the file says how the picture is turned; a PNG that does may do so behind its pixels, so is decoded."""
    if picture.format != "PNG" or "exif" in picture.info:
        return True
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return any(data.find(word) >= 0 for word in _TURNED)


def _values_of(path: Path, where: str, turned: bool, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """The values `(height, width, channels)` of a picture as it is shown: turned, and laid over white."""
    from PIL import Image, ImageOps

    with _open_picture(path, where) as opened:
        try:
            form = _stored_form(opened)
            opened.load()
            picture = ImageOps.exif_transpose(opened) if turned else opened
            picture = _over_white(picture, form).convert("L" if channels == 1 else "RGB")
            if (picture.height, picture.width) != size:
                picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            return np.asarray(picture, dtype=np.uint8).reshape(*size, channels)
        except Exception as problem:  # Pillow's decoders let out nearly anything for damaged files
            raise _broken_error(where, problem) from None


def _over_white(picture: Any, form: str) -> Any:
    """A decoded picture of 8 bits, its transparent places laid over white; `form` as by `_stored_form`.

    Raises ValueError for what has no colours that are sure.
    """
    from PIL import Image

    key = picture.info.get("transparency")
    if picture.mode in _DEEP:
        grey = np.asarray(picture).astype(np.int64)
        return Image.fromarray(np.where(grey == key, 255, (grey >> 8).clip(0, 255)).astype(np.uint8))
    if picture.mode == "P" and 3 * int(np.max(picture, initial=0)) >= len(picture.getpalette("RGB") or ()):
        raise ValueError("a number of a colour that its palette does not have")
    if key is not None and form == "RGB;16B":
        raise ValueError("a transparent colour of 16 bits, of which the lower 8 are not read")
    if key is not None and form in ("L;2", "L;4"):  # the values were spread over 0 to 255, this one was not
        picture.info["transparency"] = key * (85 if form == "L;2" else 17)
    if key is None and picture.mode not in _CLEAR:
        return picture
    above = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", above.size, (255, 255, 255, 255)), above)


def _open_picture(path: Path, where: str) -> Any:
    """The picture in a file, of which the header alone has been read.  Raises DataError for what is none."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own bound is lower
            picture = Image.open(path, formats=("PNG", "JPEG"))
    except Image.DecompressionBombError:
        raise _too_large(where, "hundreds of millions of pixels") from None
    except Exception as problem:  # as above
        raise _broken_error(where, problem) from None
    if picture.width * picture.height > MOST_PIXELS:
        picture.close()
        raise _too_large(where, f"{picture.height:,} × {picture.width:,} pixels in {path.stat().st_size:,} bytes")
    return picture


def _too_large(where: str, got: str) -> DataError:
    return DataError(
        f"the picture {where!r} is too large",
        expected=f"at most {MOST_PIXELS:,} pixels",
        got=got,
        where=where,
        try_="make it smaller, or take it out of the folder",
    )


def _broken_error(where: str, problem: Exception) -> DataError:
    told = " ".join(str(problem).split())
    return DataError(
        f"cannot read {where!r} as a picture",
        expected="a whole PNG or JPEG file",
        got="no PNG or JPEG" if "cannot identify" in told else told[:200] or type(problem).__name__,
        where=where,
        try_="save it anew with another program, or take it out of the folder",
    )


# --------------------------------------------------------------------------------------------------- all of them
def _one_size(
    headers: Sequence[_Header], names: Sequence[str], source: str, known: PictureForm | None
) -> tuple[int, int]:
    """The size that all pictures have.  Raises DataError where they differ."""
    sizes = Counter(header.size for header in headers)
    (usual, _), *others = sizes.most_common()
    if others:
        odd = next(name for header, name in zip(headers, names, strict=True) if header.size == others[0][0])
        shown = [f"{quantity(n, 'picture')} of {h} × {w}" for (h, w), n in sizes.most_common(MOST_SIZES)]
        more = "" if len(sizes) <= MOST_SIZES else f" and {len(sizes) - MOST_SIZES} further sizes"
        height, width = (min(side, 64) for side in usual) if known is None else (known.height, known.width)
        raise DataError(
            "the pictures differ in size",
            expected="one height and width for all, or --size, to which all are resized",
            got=", ".join(shown) + more,
            where=f"{source}, for one {odd}" if odd != source else source,
            try_=f"--size {height}x{width}, which stretches where the shape differs",
        )
    return usual


def _require_known_size(size: tuple[int, int], known: PictureForm | None, source: str) -> None:
    """Raise DataError for pictures of another size than a run learned."""
    if known is not None and size != (known.height, known.width):
        raise DataError(
            "the pictures have another size than those of the training",
            expected=f"{known.height} × {known.width}, or --size, to which they are resized",
            got=f"{size[0]} × {size[1]}",
            where=source,
            try_=f"--size {known.height}x{known.width}",
        )


def _require_few(size: tuple[int, int], channels: int, source: str) -> None:
    """Raise DataError for pictures with more values than a row may have."""
    number = size[0] * size[1] * channels
    if number > MOST_COLUMNS:
        raise DataError(
            "the pictures are too large to learn from as they are",
            expected=f"at most {MOST_COLUMNS:,} values in a picture: 181 × 181 grey ones, or 104 × 104 with colours",
            got=f"{number:,}: {size[0]} × {size[1]} × {channels}",
            where=source,
            try_="--size 64x64, to which all are resized",
        )


def _channels_of(headers: Sequence[_Header]) -> int:
    """Three where a picture has colours, else one."""
    return 3 if any(header.colour for header in headers) else 1


def _notes(headers: Sequence[_Header], size: tuple[int, int], channels: int) -> list[str]:
    """Sentences about what was done to pictures so that all are alike."""
    resized = sum(header.size != size for header in headers)
    grey = sum(not header.colour for header in headers) if channels == 3 else 0
    faded = sum(header.colour for header in headers) if channels == 1 else 0
    clear = sum(header.clear for header in headers)
    told = [
        (resized, f"resized to {size[0]} × {size[1]}"),
        (grey, "grey, taken as colours with three equal channels, since others have colours"),
        (faded, "with colours, taken as grey values, as those of the training were"),
        (clear, "with transparent places, laid over white"),
        (sum(header.deep for header in headers), "of 16 bits, of which the upper 8 are taken"),
        (sum(header.moving for header in headers), "of several images, of which the first is taken"),
    ]
    return [f"{quantity(number, 'picture')} {what}" for number, what in told if number]


def _require_pillow(source: str) -> None:
    if importlib.util.find_spec("PIL") is None:
        raise DataError(
            f"cannot read {source!r}: Pillow, which reads pictures, is not installed",
            expected="Pillow, or images as arrays in an NPZ file",
            got="PNG or JPEG files",
            where=source,
            try_="pip install 'clearprop[images]'",
        )
