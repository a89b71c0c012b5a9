"""Drugs of a table by their looks: which columns tell what, and what a row says."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pillsnap.catalogue.imprint import characters, readings, score_line_in, with_logo
from pillsnap.catalogue.records import CatalogueError
from pillsnap.catalogue.vocabulary import colours_of, score_line_of, shape_of
from pillsnap.tables.codes import code_in_cell, codes_in_cell
from pillsnap.tables.csv_cells import unescape_formula

COLUMNS = {
    "k_code": "k_code drug_N",
    "item_seq": "품목일련번호 ITEM_SEQ 품목기준코드",
    "ndc": "ndc ndc11 ndc9 product_code",
    "name": "품목명 ITEM_NAME drug_name dl_name medicine_name name rxstring",
    "maker": "업소명 업체명 ENTP_NAME dl_company maker labeler author",
    "form": "제형코드명 FORM_CODE_NAME form dosage_form",
    "edi_codes": "보험코드 EDI_CODE edi_codes di_edi_code",
    "front": "표시앞 PRINT_FRONT imprint_front",
    "back": "표시뒤 PRINT_BACK imprint_back",
    "imprint": "imprint splimprint imprint_code",
    "logo_front": "표기내용앞 MARK_CODE_FRONT_ANAL",
    "logo_back": "표기내용뒤 MARK_CODE_BACK_ANAL",
    "shape": "의약품제형 DRUG_SHAPE shape splshape_text",
    "colours": "색상앞 COLOR_CLASS1 colours colors colour color splcolor_text",
    "colours_back": "색상뒤 COLOR_CLASS2",
    "score": "score splscore",
    "score_front": "분할선앞 LINE_FRONT",
    "score_back": "분할선뒤 LINE_BACK",
    "length": "크기장축 LENG_LONG size splsize length",
    "width": "크기단축 LENG_SHORT width",
    "thickness": "크기두께 THICK thickness",
}
"""What a column tells, by its names in known tables, the one that counts most first."""

CODES = ("k_code", "item_seq", "ndc")
LOOKS = ("front", "back", "imprint", "shape", "colours")
NO_NAME, NO_LOOKS = "name_missing", "looks_missing"
_SIZES = ("length", "width", "thickness")
_MOST_MM = 60.0
_UNIT = re.compile(r"(?:단위|unit|in)?(?:mm|밀리미터)$")
_SIZE = re.compile(r"(\d+(?:[.,]\d+)?)(?:mm|㎜|밀리미터)?")


@dataclass(frozen=True)
class Drug:
    """A drug and its looks; `None` and empty texts where the table does not tell.

    Attributes:
        code_kind, code: `k_code`, `item_seq` (Korea) or `ndc` (United States), and the code.
        front, back: imprints as the table writes them; where it does not tell sides apart, `front` holds all.
        shape, colours: names of the vocabulary.
        score_line: a name of the vocabulary.
        length, width, thickness: in mm.
    """

    code_kind: str
    code: str
    name: str
    maker: str = ""
    form: str = ""
    edi_codes: tuple[str, ...] = ()
    front: str = ""
    back: str = ""
    shape: str | None = None
    colours: tuple[str, ...] = ()
    score_line: str | None = None
    length: float | None = None
    width: float | None = None
    thickness: float | None = None


@dataclass(frozen=True)
class Row:
    """What a row of a table holds.

    Attributes:
        problem: why the row is refused; empty where it is not.
        unread: what cells should tell whose words are not understood, and the words.
        drug: the drug; `None` where the row is refused.
        imprints: texts that a reader of the pill may note down, each with whether it is the whole imprint.
    """

    problem: str = ""
    unread: tuple[tuple[str, str], ...] = ()
    drug: Drug | None = None
    imprints: Mapping[str, bool] = field(default_factory=dict)


class Layout:
    """Columns of a table.

    Attributes:
        code_kind: kind of the code that its rows have.
        used, left_out: names of the columns that are read, and of the others, in their order.
    """

    def __init__(self, header: Sequence[str], path: Path) -> None:
        """Recognise the columns; raises `CatalogueError` where no column names drugs, or none tells of looks."""
        places = {_key(cell): place for place, cell in reversed(list(enumerate(header)))}
        self._places = {
            what: next(places[key] for key in map(_key, names.split()) if key in places)
            for what, names in COLUMNS.items()
            if any(_key(name) in places for name in names.split())
        }
        for looks in (("name",), LOOKS):
            if not self._places.keys() & set(looks):
                known = ", ".join(name for what in looks for name in COLUMNS[what].split())
                raise CatalogueError(
                    f"{path}: no column of the first line tells the {' or '.join(looks)}. It needs one of: {known}. "
                    f"The first line is: {', '.join(header)[:200]}. Where a title stands above the names of the "
                    "columns, delete it."
                )
        self.code_kind = next((kind for kind in CODES if kind in self._places), "")
        read, names = set(self._places.values()), [_clean(cell) for cell in header]
        self.used = [name for place, name in enumerate(names) if place in read]
        self.left_out = [name for place, name in enumerate(names) if name and place not in read]

    def dashes_are_empty(self, rows: Iterable[Sequence[str]]) -> bool:
        """Whether a table writes `-` where it has nothing, so that a `-` as score line tells nothing."""
        told = self._places.keys() & {"shape", "colours", "colours_back", *_SIZES}
        places = [self._places[what] for what in told]
        return any(row[place].strip() == "-" for row in rows for place in places)

    def read(self, row: Sequence[str], *, dashes_empty: bool) -> Row:
        """Read a row that has as many cells as the header."""
        cells = {what: _clean(row[place]) for what, place in self._places.items()}
        if self.code_kind == "k_code":
            cells = {what: unescape_formula(cell) for what, cell in cells.items()}
        return _Reader(cells, dashes_empty).row(self.code_kind)


class _Reader:
    """Reads the cells of one row, and notes what it does not understand."""

    def __init__(self, cells: Mapping[str, str], dashes_empty: bool) -> None:
        self._cells, self._dashes_empty = cells, dashes_empty
        self._unread: list[tuple[str, str]] = []

    def row(self, code_kind: str) -> Row:
        name = self._text("name")
        if not name:
            return Row(NO_NAME)
        front, back = self._text("front") or self._text("imprint"), self._text("back")
        drug = Drug(
            code_kind=code_kind,
            code=self._code(code_kind),
            name=name,
            maker=self._text("maker"),
            form=self._text("form"),
            edi_codes=self._edi_codes(),
            front=front,
            back=back,
            shape=self._shape(),
            colours=self._colours(),
            score_line=self._score_line(front, back),
            length=self._size("length"),
            width=self._size("width"),
            thickness=self._size("thickness"),
        )
        imprints = self._imprints(front, back)
        if not imprints and not drug.shape and not drug.colours:
            return Row(NO_LOOKS, tuple(self._unread))
        return Row("", tuple(self._unread), drug, imprints)

    def _text(self, what: str) -> str:
        cell = self._cells.get(what, "")
        return "" if cell == "-" else cell

    def _code(self, kind: str) -> str:
        text = self._text(kind)
        code = code_in_cell(text)
        if code is None:
            self._unread.append((kind, text))
        return code or ""

    def _edi_codes(self) -> tuple[str, ...]:
        codes, lost = codes_in_cell(self._text("edi_codes"))
        self._unread += [("edi_codes", cell) for cell in lost]
        return tuple(codes)

    def _shape(self) -> str | None:
        text = self._text("shape")
        shape = shape_of(text)
        if text and not shape:
            self._unread.append(("shape", text))
        return shape

    def _colours(self) -> tuple[str, ...]:
        found: set[str] = set()
        for what in ("colours", "colours_back"):
            colours, unknown = colours_of(self._text(what))
            found |= colours
            self._unread += [(what, word) for word in unknown]
        return tuple(sorted(found))

    def _size(self, what: str) -> float | None:
        text = self._text(what).replace(" ", "").casefold()
        match = _SIZE.fullmatch(text)
        value = float(match[1].replace(",", ".")) if match else 0.0
        if 0 < value <= _MOST_MM:
            return value
        if text and (value or not match):
            self._unread.append((what, text))
        return None

    def _score_line(self, front: str, back: str) -> str | None:
        """The score line of the words of the imprint, else of the columns; `none` only where columns tell of none."""
        found = {score_line_in(front), score_line_in(back)}
        columns = [what for what in ("score", "score_front", "score_back") if what in self._cells]
        for what in columns:
            cell = self._cells[what]
            if cell and not (cell == "-" and self._dashes_empty):
                found.add(score_line_of(cell))
                if not score_line_of(cell):
                    self._unread.append((what, cell))
        for name in ("cross", "line", "other", "none"):
            if name in found:
                return name
        told = columns and not self._dashes_empty and (columns != ["score"] or self._cells["score"])
        return "none" if told else None

    def _imprints(self, front: str, back: str) -> dict[str, bool]:
        """What may be read of the imprint, without logos and with their letters."""
        if "imprint" in self._cells:
            return readings([characters(part) for part in front.split(";")])
        logos = self._text("logo_front"), self._text("logo_back")
        sides = [with_logo(side, logo) for side, logo in zip((front, back), logos, strict=True)]
        return readings([characters(side) for side in sides]) | readings([characters(front), characters(back)])


def _key(name: str) -> str:
    """A column's name without what tables write differently, and without mm, which all sizes are in."""
    return _UNIT.sub("", re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name)).casefold())


def _clean(cell: str) -> str:
    return " ".join(unicodedata.normalize("NFC", cell).split())
