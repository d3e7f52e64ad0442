"""Changes of images."""

from torchvision.transforms import functional, v2
from torchvision.transforms.functional import InterpolationMode
from torchvision.transforms.transforms import *
