"""Data sets, downloaded where that is asked for."""

from torchvision.datasets import folder, mnist
from torchvision.datasets.folder import ImageFolder
from torchvision.datasets.mnist import CIFAR10, CIFAR100, EMNIST, KMNIST, MNIST, QMNIST, FashionMNIST
