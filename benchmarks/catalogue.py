"""Measure `pillsnap catalogue`: seconds of an import and of look-ups, and whether a look-up lists the drug it is of.

    python benchmarks/catalogue.py                                   # the figures of docs/catalogue.md; a minute
    python benchmarks/catalogue.py --drugs 300 --readings 40         # seconds, to try it

Claim: a table of 25,000 drugs is imported in less than 10 s, and a look-up takes a fraction of a second.

Method: drugs are drawn in the layout of Korea's open data (CP949, `-` where nothing is told): imprints of one to three
letters and up to three digits on one side or both; round and white ones are the most frequent. Then drugs are chosen by
lot, and what a person reads of each is drawn with errors: one side or both in any order, each letter taken for one that
looks like it in 5 % and missed in 2 %, the colour taken for one like it in 10 %, the shape in 5 %, the length within
0.3 mm (standard deviation). These rates are not those of the formula, and nobody measured them on people: the figures
show that the look-up works, and say nothing of real pills.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pillsnap.catalogue.drug import Drug
from pillsnap.catalogue.import_tables import import_tables
from pillsnap.catalogue.likelihood import COLOURS_ALIKE, LETTERS_ALIKE, SHAPES_ALIKE
from pillsnap.catalogue.search import MOST, Catalogue, LookUp
from pillsnap.workflow.provenance import describe_device

LETTERS = list("ABCDEFGHIJKLMNOPRSTUVWXYZ")
SHAPE_SHARES = {"원형": 0.4, "장방형": 0.25, "타원형": 0.25, "팔각형": 0.03, "육각형": 0.03, "사각형": 0.04}
COLOUR_SHARES = {"하양": 0.4, "노랑": 0.13, "주황": 0.1, "분홍": 0.12, "초록": 0.08, "파랑": 0.1, "갈색": 0.07}
HEADER = (
    "품목일련번호,품목명,업소명,표시앞,표시뒤,의약품제형,색상앞,색상뒤,분할선앞,분할선뒤,"
    "크기장축,크기단축,크기두께,표기내용앞,표기내용뒤"
)


def draw_table(path: Path, *, drugs: int, rng: np.random.Generator) -> None:
    """Write a table of drawn drugs."""
    lines = [HEADER]
    for number in range(drugs):
        length = rng.uniform(5.5, 19)
        back = _imprint(rng) if rng.random() < 0.5 else "-"
        shape, colour = (rng.choice(list(shares), p=list(shares.values())) for shares in (SHAPE_SHARES, COLOUR_SHARES))
        sizes = f"{length:.1f},{length * rng.uniform(0.4, 1):.1f},{rng.uniform(2.5, 6):.1f}"
        lines.append(f"{number},그린약 {number},그린제약,{_imprint(rng)},{back},{shape},{colour},-,-,-,{sizes},-,-")
    path.write_bytes("\r\n".join(lines).encode("cp949"))


def _imprint(rng: np.random.Generator) -> str:
    letters = "".join(rng.choice(LETTERS, rng.integers(1, 4)))
    return letters + (str(rng.integers(1, 1000)) if rng.random() < 0.7 else "")


def draw_reading(drug: Drug, rng: np.random.Generator) -> LookUp:
    """Draw what a person reads of a drug, with errors."""
    sides = [side for side in (drug.front, drug.back) if side]
    rng.shuffle(sides)
    imprint = "".join(sides[: rng.integers(1, len(sides) + 1)])
    letters = (_mistaken(letter, LETTERS_ALIKE, 0.05, rng) for letter in imprint if rng.random() >= 0.02)
    shape = _mistaken(drug.shape or "other", SHAPES_ALIKE, 0.05, rng)
    colour = _mistaken(drug.colours[0], COLOURS_ALIKE, 0.1, rng)
    length = max(0.5, float(rng.normal(drug.length or 10, 0.3)))
    return LookUp.of(imprint="".join(letters), colour=colour, shape=shape, length=length)


def _mistaken(true: str, alike: str, rate: float, rng: np.random.Generator) -> str:
    """What is read of a letter, or a name of the vocabulary."""
    pairs = [pair.split(":") if ":" in pair else list(pair) for pair in alike.split()]
    others = [one for pair in pairs if true in pair for one in pair if one != true]
    return str(rng.choice(others)) if others and rng.random() < rate else true


def look_ups(catalogue: Catalogue, readings: Sequence[tuple[Drug, LookUp]]) -> tuple[list[int], list[float]]:
    """Look up readings: the place at which each list has the drug, `MOST` where it does not, and seconds of each."""
    places, seconds = [], []
    for drug, reading in readings:
        start = time.perf_counter()
        found = catalogue.search(reading, limit=MOST).alike
        seconds.append(time.perf_counter() - start)
        places.append(next((place for place, each in enumerate(found) if each.drug == drug), MOST))
    return places, seconds


def without(reading: LookUp, **fields: object) -> LookUp:
    """A reading of less."""
    return LookUp(**vars(reading) | fields)


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--drugs", type=int, default=25_000)
    parser.add_argument("--readings", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        table, out = Path(folder) / "drawn.csv", Path(folder) / "catalogue.sqlite"
        draw_table(table, drugs=asked.drugs, rng=rng)
        times = []
        for _ in range(3):
            start = time.perf_counter()
            (imported,) = import_tables([table], out)
            times.append(time.perf_counter() - start)
        start = time.perf_counter()
        catalogue = Catalogue(out)
        opened, size = time.perf_counter() - start, out.stat().st_size
    print(f"device: {describe_device('cpu')}")
    print(f"import of {imported.rows:,} rows ({imported.kept:,} kept): {np.median(times):.1f} s, median of 3; ", end="")
    print(f"{size / 1e6:.1f} MB; opened in {opened:.2f} s")
    chosen = [catalogue.drugs[place] for place in rng.choice(len(catalogue.drugs), asked.readings)]
    readings = [(drug, draw_reading(drug, rng)) for drug in chosen]
    for title, fields in (
        ("imprint, colour, shape and length", {}),
        ("imprint, colour and shape", {"length": None}),
        ("imprint alone", {"length": None, "colours": (), "shape": None}),
        ("colour, shape and length", {"imprint": ""}),
    ):
        places, seconds = look_ups(catalogue, [(drug, without(reading, **fields)) for drug, reading in readings])
        shares = ", ".join(f"top-{top} {np.mean(np.array(places) < top):.1%}" for top in (1, 5, 10))
        p50, p95 = np.percentile(seconds, [50, 95]) * 1000
        print(f"{title}: {shares}; {p50:.0f} ms, p95 {p95:.0f} ms")


if __name__ == "__main__":
    main()
