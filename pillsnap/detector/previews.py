"""Preview pictures of a detector's training: an augmented batch, and boxes on a validation photograph."""

from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision.utils import make_grid
from ultralytics.utils.nms import non_max_suppression

from pillsnap.pictures.draw import Caption, draw_boxes


def batch_grid(pictures: torch.Tensor) -> np.ndarray:
    """Grid of a batch's first 16 pictures: uint8 (N, 3, H, W) -> uint8 (height, width, 3)."""
    return make_grid(pictures[:16].cpu(), nrow=4).permute(1, 2, 0).numpy()


@torch.inference_mode()
def validation_picture(model: nn.Module, dataset: Any, device: torch.device) -> np.ndarray:
    """The validation photograph with most pills, with the model's boxes drawn on it, uint8 (H, W, 3).

    Args:
        model: detection model in evaluation mode.
        dataset: ultralytics' one, without augmentation.
        device: the model's.
    """
    fullest = max(range(len(dataset)), key=lambda index: len(dataset.labels[index]["cls"]))
    photo = dataset[fullest]["img"]
    detections = non_max_suppression(model(photo[None].to(device).float() / 255), conf_thres=0.25)[0].cpu().tolist()
    captions = [Caption((x, y, right - x, low - y), f"{score:.2f}") for x, y, right, low, score, _ in detections]
    return draw_boxes(photo.permute(1, 2, 0).numpy().copy(), captions)
