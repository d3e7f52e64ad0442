"""Networks, and what is known of their weights."""

from torchvision.models import feature_extraction, resnet, vgg
from torchvision.models.resnet import ResNet, resnet18, resnet50
from torchvision.models.vgg import VGG16_Weights, vgg16
