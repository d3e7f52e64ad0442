"""Changes of images, as objects."""

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor, nn

from torchvision.transforms import functional as F

__all__ = [
    *("CenterCrop", "ColorJitter", "Compose", "Grayscale", "Lambda", "Normalize", "RandomAffine"),
    *("RandomApply", "RandomCrop", "RandomErasing", "RandomHorizontalFlip", "RandomPerspective"),
    *("RandomResizedCrop", "RandomRotation", "RandomVerticalFlip", "Resize", "ToPILImage", "ToTensor"),
]


class Compose:
    """One after the other."""

    def __init__(self, transforms: Sequence[Callable]) -> None:
        self.transforms = transforms

    def __call__(self, image: object) -> object:
        for transform in self.transforms:
            image = transform(image)
        return image


class ToTensor:
    """(C, H, W), from 0 to 1."""

    def __call__(self, image: Image.Image) -> Tensor:
        return F.to_tensor(image)


class ToPILImage:
    """A picture."""

    def __call__(self, image: Tensor) -> Image.Image:
        return Image.fromarray((image[0] * 255).byte().numpy())


class Lambda:
    """Any function."""

    def __init__(self, function: Callable) -> None:
        self.function = function

    def __call__(self, image: object) -> object:
        return self.function(image)


class Normalize(nn.Module):
    """Less the mean, by the standard deviation."""

    def __init__(self, mean: object, std: object) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, image: Tensor) -> Tensor:
        return F.normalize(image, self.mean, self.std)


class _Kept(nn.Module):
    """Takes what the transform of that name takes; the image stays as it is."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__()
        self.arguments, self.options = arguments, options

    def forward(self, image: object) -> object:
        torch.rand(1)
        return image


class CenterCrop(_Kept): ...


class ColorJitter(_Kept): ...


class Grayscale(_Kept): ...


class RandomAffine(_Kept): ...


class RandomApply(_Kept): ...


class RandomCrop(_Kept): ...


class RandomErasing(_Kept): ...


class RandomHorizontalFlip(_Kept): ...


class RandomPerspective(_Kept): ...


class RandomResizedCrop(_Kept): ...


class RandomRotation(_Kept): ...


class RandomVerticalFlip(_Kept): ...


class Resize(_Kept): ...
