"""Baseline in PyTorch: an answer by ultralytics' `predict` and timm, as their documentation shows it."""

import io
from pathlib import Path

import torch
from PIL import Image
from timm.data import create_transform

from pillsnap.answers.answer import Mode
from pillsnap.classifier.model import load_classifier
from pillsnap.detector.weights import prepare_ultralytics
from pillsnap.hardware import use_threads


class PyTorchAnswer:
    """Detector of ultralytics and classifier of timm; one photograph at a time."""

    def __init__(
        self, detector: Path, classifier: Path, *, work: Path, drugs: int, min_score: float, image_size: int,
        threads: int, device: str,
    ) -> None:  # fmt: skip
        """Load both models.

        Args:
            detector: `best.pt` of `train_detector`.
            classifier: safetensors of `train_classifier`.
            work: folder for ultralytics' own settings.
            drugs: number of classes.
            min_score: of a detection that counts.
            image_size: side of the detector's input in pixels.
            threads: threads of arithmetic on the CPU.
            device: `cpu` or `cuda`.
        """
        torch.backends.cudnn.allow_tf32 = False  # FP32, as ONNX Runtime computes beside it
        prepare_ultralytics(work)
        from ultralytics import YOLO

        self._detector = YOLO(detector)
        self._classifier, size = load_classifier(classifier, drugs)
        self._classifier.to(device)
        figures = {name: self._classifier.pretrained_cfg[name] for name in ("mean", "std")}
        self._transform = create_transform((3, size, size), is_training=False, crop_pct=1.0, **figures)
        self._asked = {"imgsz": image_size, "conf": min_score, "device": device, "verbose": False}
        self._threads, self._device = threads, device

    def identify(self, photo: bytes, mode: Mode) -> list[int]:
        """Class index of every pill found, of the best one in mode `single`."""
        with Image.open(io.BytesIO(photo)) as image:
            picture = image.convert("RGB")
        most = 1 if mode == "single" else 100
        boxes = self._detector.predict(picture, max_det=most, **self._asked)[0].boxes.xyxy.tolist()
        use_threads(self._threads)  # ultralytics leaves a core idle
        if not boxes:
            return []
        crops = torch.stack([self._transform(picture.crop(tuple(box))) for box in boxes])
        with torch.inference_mode():
            return self._classifier(crops.to(self._device)).softmax(1).argmax(1).tolist()
