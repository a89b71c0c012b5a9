"""Batches of crops: the same bits whatever reads them, decoded once where they are kept, and no process left behind."""

import itertools
from collections.abc import Callable, Iterator
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import torch

from pillsnap.classifier.batches import CropBatches, Crops, _decoded_by_processes, _one_ahead
from pillsnap.classifier.transforms import _grid, augment, normalise
from pillsnap.crops.dataset import CropDataset
from pillsnap.tables.files import read_table, write_table
from pillsnap.tables.schemas import CROPS
from tests.support.models import recipe, write_crops

SIDE, PILLS, CROPS_OF_PILLS = 48, 12, 18
ALL_BYTES = CROPS_OF_PILLS * SIDE * SIDE * 3
ORDER = [[(3, 0.9), (0, 0.2), (11, 0.4), (1, 0.6)], [(1, 0.1), (2, 0.5), (7, 0.7)], [(10, 0.3), (5, 0.99)]]
WAYS: dict[str, Callable[[CropDataset], Iterator[torch.Tensor]]] = {
    "kept": lambda data: _pictures(data, workers=2, cache_bytes=ALL_BYTES),
    "one thread": lambda data: _pictures(data, workers=1, cache_bytes=0),
    "more threads than crops": lambda data: _pictures(data, workers=5, cache_bytes=ALL_BYTES - 1),
    "one process": lambda data: _by_processes(data, 1),
    "two processes": lambda data: _by_processes(data, 2),
}


@pytest.fixture
def data(tmp_path: Path) -> CropDataset:
    write_crops(tmp_path / "crops", PILLS)
    return CropDataset(tmp_path / "crops", "train")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Fills with the crops that this process decodes into batches."""
    rows: list[int] = []
    decode = CropDataset.decode

    def noted(self: CropDataset, row: int, picture: np.ndarray) -> None:
        rows.append(row)
        decode(self, row, picture)

    monkeypatch.setattr(CropDataset, "decode", noted)
    return rows


def _pictures(data: CropDataset, *, workers: int, cache_bytes: int) -> Iterator[torch.Tensor]:
    batches = CropBatches(data, device="cpu", workers=workers, cache_bytes=cache_bytes)
    return (pictures for pictures, _ in batches.batches(ORDER))


def _by_processes(data: CropDataset, workers: int) -> Iterator[torch.Tensor]:
    return (pictures.permute(0, 3, 1, 2).clone() for pictures in _decoded_by_processes(data, ORDER, workers))


def _damage(data: CropDataset, folder: Path, pill: int) -> CropDataset:
    """The data set with a pill's first crop cut short."""
    index = folder / "crops/index.parquet"
    table = read_table(index, CROPS)
    table.loc[(table["pill_id"] == data.pills.index[pill]) & (table["box_from"] == "label"), "length"] //= 2
    write_table(table, index, CROPS)
    return CropDataset(folder / "crops", "train")


@pytest.mark.parametrize("way", WAYS)
def test_same_bits_whatever_reads(data: CropDataset, way: str) -> None:
    found = list(WAYS[way](data))
    assert len(found) == len(ORDER)
    for pictures, items in zip(found, ORDER, strict=True):
        assert pictures.dtype == torch.uint8
        assert torch.equal(pictures, torch.stack([data[item][0] for item in items]))


@pytest.mark.parametrize("cache_bytes", [0, ALL_BYTES])
def test_targets_are_those_of_the_pills(data: CropDataset, cache_bytes: int) -> None:
    batches = CropBatches(data, device="cpu", workers=1, cache_bytes=cache_bytes)
    targets = [targets for _, targets in batches.batches(ORDER)]
    assert all(batch.dtype == torch.int64 for batch in targets)
    assert [batch.tolist() for batch in targets] == [[pill % 3 for pill, _ in items] for items in ORDER]


@pytest.mark.parametrize(
    ("cache_bytes", "first", "second"),
    [(ALL_BYTES, CROPS_OF_PILLS, 0), (ALL_BYTES - 1, 9, 9)],
    ids=["they fit", "a byte too little"],
)
def test_kept_crops_are_decoded_once(
    data: CropDataset, decoded: list[int], cache_bytes: int, first: int, second: int
) -> None:
    batches = CropBatches(data, device="cpu", workers=2, cache_bytes=cache_bytes)
    for expected in (first, second):
        decoded.clear()
        assert len(list(batches.batches(ORDER))) == 3
        assert len(decoded) == expected
    assert len(set(decoded)) == len(decoded)


def test_no_batch_and_no_crop(tmp_path: Path, data: CropDataset) -> None:
    assert list(CropBatches(data, device="cpu", workers=1, cache_bytes=0).batches([])) == []
    index = tmp_path / "crops/index.parquet"
    write_table(read_table(index, CROPS).query("split == 'val'"), index, CROPS)
    empty = CropDataset(tmp_path / "crops", "train")
    assert (len(empty), empty.crops) == (0, 0)
    assert list(CropBatches(empty, device="cpu", workers=1, cache_bytes=100).batches([])) == []


def test_processes_end_with_their_batches(data: CropDataset) -> None:
    """At the end, when closed early, and when a crop is damaged while others are still decoded."""
    assert len(list(_by_processes(data, 2))) == 3
    assert active_children() == []
    running = _decoded_by_processes(data, ORDER * 20, 2)
    next(running)
    assert len(active_children()) == 2
    running.close()
    assert active_children() == []


@pytest.mark.parametrize("way", WAYS)
def test_damaged_crop_is_an_error(tmp_path: Path, data: CropDataset, way: str) -> None:
    damaged = _damage(data, tmp_path, pill=2)
    with pytest.raises(ValueError, match=r"JPEG|jpeg") as raised:
        list(WAYS[way](damaged))
    assert active_children() == [], raised.traceback


def test_crops_of_another_size_are_an_error(tmp_path: Path, data: CropDataset) -> None:
    with pytest.raises(ValueError, match="a JPEG of 48 x 48 pixels, not 40 x 48"):
        data.decode(0, np.empty((48, 40, 3), np.uint8))


def test_global_randomness_is_left_alone(data: CropDataset) -> None:
    """Dropout draws the same numbers, whatever reads the crops."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    for way in WAYS.values():
        torch.manual_seed(5)
        list(way(data))
        assert torch.equal(torch.rand(3), expected)


def test_thread_keeps_one_ahead() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for number in itertools.count():
            made.append(number)
            yield number

    ahead = _one_ahead(source())
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    ahead.close()
    assert made in ([0, 1, 2], [0, 1, 2, 3]), "at most one more than was asked for"
    assert list(_one_ahead(iter([torch.zeros(2), torch.ones(2)])))[1].tolist() == [1, 1]


def test_errors_come_out_of_the_thread() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("damaged")

    ahead = _one_ahead(source())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="damaged"):
        next(ahead)


@pytest.mark.parametrize("cache_bytes", [0, ALL_BYTES])
def test_gpu_gets_the_same_bits(data: CropDataset, cache_bytes: int) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    cpu, gpu = (
        CropBatches(data, device=device, workers=2, cache_bytes=cache_bytes).batches(ORDER * 5)
        for device in ("cpu", "cuda")
    )
    for expected, found in zip(cpu, gpu, strict=True):
        assert all(tensor.is_cuda for tensor in found)
        assert all(torch.equal(one, other.cpu()) for one, other in zip(expected, found, strict=True))
    assert active_children() == []


def test_grid_is_torchs_own() -> None:
    """Columns: the steps to the right and down, and the middle."""
    values = torch.randn(5, 8)
    matrix = values[:, :6].view(5, 3, 2).transpose(1, 2)
    expected = torch.nn.functional.affine_grid(matrix, [5, 3, 9, 9], align_corners=False)
    assert torch.allclose(_grid(values, 9), expected, atol=1e-6)


def test_augment_turns_by_the_angle_it_draws() -> None:
    """Against a plain reading of the recipe, on the same random numbers."""
    crops = torch.rand(6, 3, 20, 20)
    draw = torch.Generator().manual_seed(3)
    low_high = [(-torch.pi, torch.pi), (0.85, 1.15), (-0.08, 0.08), (-0.08, 0.08), (0.8, 1.2), (-0.15, 0.15)]
    angle, zoom, x, y, gain, offset = (torch.rand(6, generator=draw) * (high - low) + low for low, high in low_high)
    cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    matrix = torch.stack([torch.stack([cosine, -sine, x], 1), torch.stack([sine, cosine, y], 1)], 1)
    grid = torch.nn.functional.affine_grid(matrix, [6, 3, 16, 16], align_corners=False)
    moved = torch.nn.functional.grid_sample(crops, grid, padding_mode="border", align_corners=False)
    expected = moved * gain.view(6, 1, 1, 1) + offset.view(6, 1, 1, 1)
    assert torch.allclose(augment(crops, 16, torch.Generator().manual_seed(3)), expected, atol=1e-4)


def test_normalise_takes_channels_last() -> None:
    class Model(torch.nn.Module):
        pretrained_cfg = {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.25, 0.2)}  # noqa: RUF012

    crops = torch.randint(0, 256, (2, 5, 5, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    found = normalise(crops, Model())
    assert torch.equal(found, normalise(crops.contiguous(), Model()))
    expected = (crops[1, 2] / 255 - 0.3) / 0.2
    assert torch.allclose(found[1, 2], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("cores", "processes", "workers"), [(16, 1, 16), (64, 1, 16), (16, 2, 8), (64, 2, 16), (2, 4, 1), (12, 8, 1)]
)
def test_processes_share_cores_and_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, processes: int, workers: int
) -> None:
    write_crops(tmp_path / "crops", PILLS)
    monkeypatch.setattr("pillsnap.hardware.cores", lambda: cores)
    sizes = [CropDataset(tmp_path / "crops", split).crops * SIDE**2 * 3 for split in ("train", "val")]
    settings = recipe(cache_gb=4 * sum(sizes) / 1e9)
    crops = Crops(tmp_path / "crops", settings, device="cpu", processes=processes)
    assert crops.train_batches._workers == crops.val_batches._workers == workers
    assert crops.train_batches._fits == (processes <= 4)
