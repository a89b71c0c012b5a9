"""Checkpoints of a training: of the last epoch, within an epoch, and every few epochs; written atomically, loaded with
`weights_only`."""

import logging
import os
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pillsnap.config.training import Recipe
from pillsnap.files import replacing

log = logging.getLogger(__name__)

LAST, WITHIN = "last.pt", "within.pt"


class Checkpoints:
    """The checkpoints in a folder.

    `last.pt` is the state at the end of the newest epoch, `within.pt` a later one within the next epoch, where there
    is one. Every `checkpoint_every` epochs `last.pt` is kept under the epoch's number as well (`epoch-0005.pt`, the
    same file under a second name until `last.pt` moves on), the newest `keep_checkpoints` of them, and copied to a
    second place.

    Args:
        folder: that holds them.
        recipe: `checkpoint_every` and `keep_checkpoints` count.
        backup: folder that gets a copy of every kept checkpoint; `None` for none.
    """

    def __init__(self, folder: Path, *, recipe: Recipe, backup: Path | None = None) -> None:
        self._folder, self._recipe, self._backup = folder, recipe, backup

    def save(self, content: Mapping[str, Any], *, epoch_ended: bool = True) -> None:
        """Write the newest state.

        Args:
            content: tensors, numbers, texts, lists and mappings; `epoch` counts the finished epochs, `step` the steps
                of the next one.
            epoch_ended: whether the epoch has just ended, so that it may be kept.
        """
        with replacing(self._folder / (LAST if epoch_ended else WITHIN)) as temporary, temporary.open("wb") as stream:
            torch.save(dict(content), stream)
            stream.flush()
            os.fsync(stream.fileno())
        if not epoch_ended:
            return
        (self._folder / WITHIN).unlink(missing_ok=True)
        if content["epoch"] % self._recipe.checkpoint_every == 0 and self._recipe.keep_checkpoints:
            self._keep(content["epoch"])

    def load(self, *, upto: int, within: bool = True, device: str = "cpu") -> dict[str, Any] | None:
        """The newest readable state of at most `upto` epochs; `None` where there is none.

        Args:
            upto: epochs.
            within: whether a state within an epoch will do.
            device: where its tensors are put.
        """
        names = (WITHIN, LAST) if within else (LAST,)
        for path in (*(self._folder / name for name in names), *reversed(self._kept(self._folder))):
            content = _read(path, device)
            if content and (content["epoch"], content.get("step", 0)) <= (upto, 0):
                return content
        return None

    def _keep(self, epoch: int) -> None:
        name = f"epoch-{epoch:04d}.pt"
        with replacing(self._folder / name) as temporary:
            try:
                os.link(self._folder / LAST, temporary)
            except OSError:  # a file system without hard links
                shutil.copyfile(self._folder / LAST, temporary)
        self._prune(self._folder)
        if self._backup:
            with replacing(self._backup / name) as temporary:
                shutil.copyfile(self._folder / name, temporary)
            self._prune(self._backup)

    def _prune(self, folder: Path) -> None:
        for path in self._kept(folder)[: -self._recipe.keep_checkpoints]:
            path.unlink()

    def _kept(self, folder: Path) -> list[Path]:
        return sorted(folder.glob("epoch-*.pt"))


def _read(path: Path, device: str) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        log.warning("%s cannot be read (%s): falling back to an earlier checkpoint", path, type(error).__name__)
        return None
