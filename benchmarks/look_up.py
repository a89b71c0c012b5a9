"""Look up drawn drugs that no training saw in a table of thousands, by what the reader reads of one side or of both.

    python benchmarks/look_up.py                              # the figures of docs/catalogue.md; minutes
    python benchmarks/look_up.py --drugs 300 --pills 10       # seconds, to try it

Claim: of drugs among 4,523, the right one is among the first ten by one side in at least 80 %, and the first by both
sides in at least 85 %.

Method: the invented drugs of another seed than the reader's and the built-in photographs' make the table. Of those
whose imprints are all held out of the reader's training, some are chosen by lot and photographed from both sides, one
pill a photograph, with boxes as a detector finds them. The reader that comes with the project reads each crop, without
a stage's calibration; what it is at least half sure of is looked up as `pillsnap predict --catalogue` does.
All pills are drawn: the figures say nothing of real ones, and must not be set beside published ones of these.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
import torch
from catalogue import look_ups

from pillsnap.answers.answer import Reading
from pillsnap.answers.calibration import ReadingCalibration
from pillsnap.catalogue.import_tables import import_tables
from pillsnap.catalogue.search import MOST, Catalogue
from pillsnap.classifier.transforms import normalise
from pillsnap.crops.crop import cut_crop
from pillsnap.pictures.decode import decode_jpeg, encode_jpeg
from pillsnap.predict.look_up import query_of
from pillsnap.predict.readings import read_pills
from pillsnap.pretraining.draw_reader_crops import is_held_out
from pillsnap.progress import progress
from pillsnap.reader.model import Reader, load_reader
from pillsnap.sources.synthetic.catalogue import Drug, key_rng, make_catalogue
from pillsnap.sources.synthetic.scene import SINGLE_SCALE, Shot, render_with_truth
from pillsnap.workflow.code_inputs import workflow_file
from pillsnap.workflow.provenance import describe_device

SEED = 4523
PLAIN = ReadingCalibration(
    imprint_temperature=1.0, shape_temperature=1.0, colour_temperature=1.0, imprint_slope=1.0, imprint_offset=0.0,
    weight=0.0, blank_weight=0.0, blank_scale=1.0, distance_weight=0.0, contradicts_from=1.0,
)  # fmt: skip
"""No stage's photographs to calibrate on."""


def write_drugs(path: Path, drugs: list[Drug]) -> None:
    """Write a table of drugs as `drugs.csv` of a stage has them."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["k_code", "drug_name", "shape", "colours", "imprint_front", "imprint_back"])
        for drug in drugs:
            colours = ",".join(filter(None, (drug.color_class1, drug.color_class2)))
            rows.writerow([drug.k_code, drug.dl_name, drug.drug_shape, colours, drug.print_front, drug.print_back])


def chosen(drugs: list[Drug], count: int) -> list[Drug]:
    """Drugs by lot among those none of whose imprints the reader was trained on."""
    unread = [drug for drug in drugs if all(is_held_out(side) for side in (drug.print_front, drug.print_back) if side)]
    order = key_rng(SEED, "chosen").permutation(len(unread))[:count]
    return [unread[place] for place in order]


def photograph(drug: Drug, side: int) -> np.ndarray:
    """A crop of one side, uint8 (144, 144, 3)."""
    rng = key_rng(SEED, "photograph", drug.k_code, side)
    shot = Shot(int(rng.integers(3)), int(rng.integers(3)), int(rng.choice([60, 70, 75, 90])), int(rng.integers(360)))
    drawn = render_with_truth([(drug, side)], shot, scale=SINGLE_SCALE, rng=rng)
    photo, (box,) = decode_jpeg(encode_jpeg(drawn.photo, 92)), drawn.boxes
    return cut_crop(photo, np.array(box) + rng.normal(0, 0.025, 4) * max(box[2:]), size=144, margin=0.15)


@torch.inference_mode()
def read(reader: Reader, crops: np.ndarray) -> list[Reading]:
    """Read crops, uint8 (N, S, S, 3)."""
    characters, shapes, colours = reader(normalise(torch.from_numpy(crops).permute(0, 3, 1, 2), reader.body))
    found = {"characters": characters.softmax(-1), "shapes": shapes.softmax(-1), "colours": colours.sigmoid()}
    return read_pills({n: v.numpy() for n, v in found.items()} | {"disagreements": np.zeros(len(crops))}, PLAIN)


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--drugs", type=int, nargs="+", default=[4523, 25_000])
    parser.add_argument("--pills", type=int, default=300)
    asked = parser.parse_args()
    reader = load_reader(Path(workflow_file("weights/pill-reader.safetensors")))
    print(f"device: {describe_device('cpu')}")
    for count in asked.drugs:
        drugs = make_catalogue(drugs=count, seed=SEED)
        pills = chosen(drugs, asked.pills)
        sides = [
            [photograph(drug, side) for side in (0, 1)] for drug in progress(pills, total=len(pills), title="drugs")
        ]
        readings = [read(reader, np.stack(both)) for both in sides]
        with tempfile.TemporaryDirectory() as folder:
            table, out = Path(folder) / "drugs.csv", Path(folder) / "catalogue.sqlite"
            write_drugs(table, drugs)
            import_tables([table], out)
            catalogue = Catalogue(out)
        of_code = {drug.code: drug for drug in catalogue.drugs}
        print(f"{len(pills)} drugs among {count:,}:")
        for title, taken in (("front", slice(0, 1)), ("back", slice(1, 2)), ("both sides", slice(0, 2))):
            queries = [
                (of_code[drug.k_code], query_of(both[taken])) for drug, both in zip(pills, readings, strict=True)
            ]
            places, _ = look_ups(catalogue, [(drug, query) for drug, query in queries if query])
            places += [MOST] * sum(query is None for _, query in queries)
            shares = ", ".join(f"top-{top} {np.mean(np.array(places) < top):.1%}" for top in (1, 5, 10))
            print(f"  {title}: {shares}")


if __name__ == "__main__":
    main()
