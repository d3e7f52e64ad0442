"""Models as students and researchers write them: ``ZOO`` has graphs, ``REFUSED`` has reasons why not.

Shapes: C channels, H rows, W columns of one image's values.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PlainNet(nn.Module):
    """The network of PyTorch's first tutorial, made smaller."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.conv2_drop = nn.Dropout2d()
        self.fc1 = nn.Linear(320, 30)
        self.fc2 = nn.Linear(30, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2_drop(self.conv2(x)), 2))
        x = x.view(-1, 320)
        x = F.relu(self.fc1(x))
        x = F.dropout(x, training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


class Blocks(nn.Module):
    """Sequential blocks, a transition layer, and an average that covers the map."""

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()

        def block(i: int, o: int, k: int = 3, padding: int = 0) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(i, o, (k, k), padding=padding, bias=False),
                nn.ReLU(),
                nn.BatchNorm2d(o),
                nn.Dropout(dropout),
            )

        self.convblock1, self.convblock2 = block(1, 8), block(8, 16)
        self.transition = block(16, 8, 1)
        self.pool1 = nn.MaxPool2d(2, 2)
        self.convblock3, self.convblock4 = block(8, 12), block(12, 12, padding=1)
        self.gap = nn.Sequential(nn.AvgPool2d(kernel_size=10))
        self.out = nn.Sequential(nn.Conv2d(12, 10, (1, 1), bias=False))

    def forward(self, x: Tensor) -> Tensor:
        x = self.transition(self.pool1(self.convblock2(self.convblock1(x))))
        x = self.out(self.gap(self.convblock4(self.convblock3(x))))
        return F.log_softmax(x.view(-1, 10), dim=-1)


class NormFirst(nn.Module):
    """BatchNorm before ReLU, dropout of 0.05, a 7×7 convolution as the head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.conv2 = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(2)
        self.drop = nn.Dropout(0.05)
        self.head = nn.Conv2d(16, 10, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.pool(self.conv1(x)))
        x = self.drop(self.pool(self.conv2(x)))
        return F.log_softmax(self.head(x).squeeze(), dim=1)


class FiveByFiveHead(nn.Module):
    """Strides in place of pooling, and a 5×5 head."""

    def __init__(self) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(1, 6, 3, stride=2)  # 13×13
        self.c2 = nn.Conv2d(6, 12, 5, stride=2)  # 5×5
        self.b1, self.b2 = nn.BatchNorm2d(6), nn.BatchNorm2d(12)
        self.head = nn.Conv2d(12, 10, kernel_size=5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.b1(self.c1(x)).relu_()
        x = torch.relu(self.b2(self.c2(x)))
        x = self.head(x)
        return x.reshape(x.shape[0], -1)


class OddMaps(nn.Module):
    """Maps of 13×13, 6×6 and 3×3; an overlapping pool, a pool with ceil and one with padding."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2, self.c3 = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 10, 2), nn.Conv2d(10, 12, 3, padding=1)
        self.fc = nn.Linear(12 * 3 * 3, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.c1(x)), 2)  # 13×13
        x = F.max_pool2d(F.relu(self.c2(x)), kernel_size=3, stride=2, ceil_mode=True)  # 6×6
        x = F.max_pool2d(F.relu(self.c3(x)), 3, 2, 1)  # 3×3
        return self.fc(torch.flatten(x, 1))


class AveragePools(nn.Module):
    """Average pools with padding, counted and not, and one in rows alone."""

    def __init__(self, count: bool) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding="same"),
            nn.Tanh(),
            nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=count),
            nn.Conv2d(6, 8, (3, 5), padding="valid"),
            nn.Sigmoid(),
            nn.AvgPool2d((2, 1), ceil_mode=not count),
        )
        self.classifier = nn.LazyLinear(10)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(start_dim=1))


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut, projected where the shape changes."""

    def __init__(self, i: int, o: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(i, o, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(o)
        self.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(o)
        self.shortcut = nn.Sequential()
        if stride != 1 or i != o:
            self.shortcut = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


class SmallResNet(nn.Module):
    """Three residual blocks and a global average."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.layer1 = BasicBlock(8, 8)
        self.layer2 = BasicBlock(8, 12, 2)
        self.layer3 = BasicBlock(12, 16, 2)
        self.linear = nn.Linear(16, 10)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn(self.stem(x)))
        out = self.layer3(self.layer2(self.layer1(out)))
        out = F.avg_pool2d(out, out.size()[2:])
        return self.linear(out.view(out.size(0), -1))


class DenseLayers(nn.Module):
    """Every layer takes the concatenation of all before it; dropout of channels."""

    def __init__(self, growth: int = 6) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 5, stride=2, padding=2)
        self.layers = nn.ModuleList()
        for i in range(3):
            c = 8 + i * growth
            self.layers.append(
                nn.Sequential(
                    nn.BatchNorm2d(c), nn.ReLU(True), nn.Conv2d(c, growth, 3, 1, 1), nn.Dropout2d(0.1)
                )
            )
        self.fc = nn.Linear(8 + 3 * growth, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for layer in self.layers:
            features.append(layer(torch.cat(features, dim=1)))
        return self.fc(torch.cat(features, 1).mean(dim=[2, 3]))


class SEBlock(nn.Module):
    """Squeeze-and-excitation by linear layers."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channels // reduction, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        b, c, _, _ = x.size()
        y = self.avg_pool(x).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        return x * y.expand_as(x)


class SqueezeNet(nn.Module):
    """A gate after each of two convolutions, one of linear layers and one of 1×1 convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.se = SEBlock(8)
        self.squeeze, self.excite = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.out = nn.Conv2d(16, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.se(F.relu(self.c1(x))), 2)
        x = F.relu(self.c2(x))
        gate = F.hardsigmoid(self.excite(F.silu(self.squeeze(F.adaptive_avg_pool2d(x, 1)))))
        x = gate * x
        return self.out(x).mean((2, 3))


class DepthwiseNet(nn.Module):
    """Depthwise and pointwise convolutions with Hardswish and ReLU6."""

    def __init__(self) -> None:
        super().__init__()

        def dw(i: int, o: int, s: int) -> list[nn.Module]:
            return [
                nn.Conv2d(i, i, 3, s, 1, groups=i, bias=False), nn.BatchNorm2d(i), nn.ReLU6(inplace=True),
                nn.Conv2d(i, o, 1, bias=False), nn.BatchNorm2d(o, momentum=0.01, eps=1e-3), nn.Hardswish(),
            ]  # fmt: skip

        self.model = nn.Sequential(
            nn.Conv2d(1, 8, 3, 1, 1), *dw(8, 16, 2), *dw(16, 24, 2), nn.AdaptiveAvgPool2d((1, 1))
        )
        self.fc = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.model(x).squeeze(-1).squeeze(-1))


class Inverted(nn.Module):
    """An inverted residual of grouped convolutions, added to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.expand, self.project = nn.Conv2d(8, 24, 1), nn.Conv2d(24, 8, 1)
        self.depth = nn.Conv2d(24, 24, 5, padding=2, groups=12)
        self.norm = nn.BatchNorm2d(8, affine=False)
        self.head = nn.Linear(8 * 7 * 7, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = F.gelu(self.depth(F.gelu(self.expand(x), approximate="tanh")))
        x = x + 0.5 * self.norm(self.project(y))
        return self.head(nn.Flatten()(F.max_pool2d(x, 2)))


class Dilated(nn.Module):
    """Dilated convolutions, oblong kernels, strides that differ."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 6, 3, dilation=2), nn.LeakyReLU(0.1),
            nn.Conv2d(6, 6, (1, 7), padding=(0, 3)), nn.ELU(0.5),
            nn.Conv2d(6, 8, (3, 2), stride=(2, 1), dilation=(1, 3)), nn.PReLU(),
            nn.Conv2d(8, 10, 3, padding=4, dilation=4), nn.PReLU(10),
            nn.AdaptiveMaxPool2d(1), nn.Flatten(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Inception(nn.Module):
    """Branches of several kernels, concatenated; an average over an odd size in between."""

    def __init__(self) -> None:
        super().__init__()
        self.b1 = nn.Conv2d(1, 4, 1)
        self.b2 = nn.Conv2d(1, 4, 3, padding=1)
        self.b3 = nn.Conv2d(1, 4, 5, padding=2)
        self.b4 = nn.Conv2d(1, 4, 7, padding=3)
        self.bn = nn.BatchNorm2d(17)
        self.conv = nn.Conv2d(17, 12, 3)
        self.fc = nn.Linear(12 * 5 * 5, 10)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.max_pool2d(x, kernel_size=3, stride=1, padding=1)
        x = torch.cat((self.b1(x), self.b2(x), self.b3(x), self.b4(x), pooled), 1)
        x = F.adaptive_avg_pool2d(F.relu(self.conv(self.bn(x))), 5)
        return torch.log_softmax(self.fc(x.reshape(len(x), -1)), -1)


class Recurrent(nn.Module):
    """One convolution and one BatchNorm used three times."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 12, 3, padding=1)
        self.conv = nn.Conv2d(12, 12, 3, padding=1)
        self.bn = nn.BatchNorm2d(12)
        self.act = nn.ReLU()
        self.drop = nn.Dropout(0.1)
        self.fc = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.stem(x))
        for _ in range(3):
            x = self.drop(F.max_pool2d(self.act(self.bn(self.conv(x))), 2))
        return self.fc(torch.amax(x, dim=(2, 3)))


class Tied(nn.Module):
    """Two layers that share one weight, each with its own bias."""

    def __init__(self) -> None:
        super().__init__()
        self.inp = nn.Linear(784, 16)
        self.a, self.b = nn.Linear(16, 16), nn.Linear(16, 16)
        self.b.weight = self.a.weight
        self.out = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.inp(x.view(x.size(0), -1)))
        x = torch.tanh(self.a(x))
        return self.out(self.b(x).tanh())


class Perceptron(nn.Module):
    """Linear layers with BatchNorm and dropout between them."""

    def __init__(self, norm: bool = True) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear_relu_stack = nn.Sequential(
            nn.Linear(28 * 28, 20),
            nn.BatchNorm1d(20) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(20, 20),
            nn.GELU(),
            nn.Linear(20, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_relu_stack(self.flatten(x))


class FlatInput(nn.Module):
    """It takes rows of 784 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(784, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        assert x.dim() == 2
        return F.softmax(self.fc2(F.relu(self.fc1(x))), dim=1)


class RowsInput(nn.Module):
    """It takes images without a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3, 3), nn.Linear(4 * 81, 10)

    def forward(self, x: Tensor) -> Tensor:
        n, _, _ = x.shape
        return self.fc(F.relu(self.conv(x.unsqueeze(1))).view(n, -1))


class SelfNormalised(nn.Module):
    """It normalises its input by buffers, and scales and shifts on the way."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.2]).view(1, 1, 1, 1))
        self.register_buffer("std", torch.tensor(0.7))
        self.conv, self.fc = nn.Conv2d(1, 8, 5, 2), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.std
        x = self.conv(x)
        x = 1 - F.relu(x) * 0.1
        x = -(x / 2 - 0.5) + 2 * x
        return self.fc(x.sum((2, 3)) * 0.05)


class Padded(nn.Module):
    """LeNet on images padded to 32×32."""

    def __init__(self) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d(2)
        self.c1, self.c2, self.c3 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 12, 5), nn.Conv2d(12, 24, 5)
        self.fc = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(torch.tanh(self.c1(self.pad(x))), 2)
        x = F.avg_pool2d(torch.tanh(self.c2(x)), 2)
        x = torch.tanh(self.c3(F.pad(x, [1, 1, 1, 1]))).mean(-1).mean(-1)
        return self.fc(x)


class Normless(nn.Module):
    """BatchNorm with a cumulative average, BatchNorm1d over maps as rows, and idle dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, 2, bias=False)
        self.bn = nn.BatchNorm2d(6, momentum=None)  # type: ignore[arg-type]
        self.rows = nn.BatchNorm1d(6, momentum=0.3)
        self.drop = nn.Dropout(0.0)
        self.fc = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(self.bn(self.conv(x)), 0.5, training=False)
        x = self.rows(x.flatten(2)).mean(2)
        return self.fc(self.drop(F.selu(x)))


class Attended(nn.Module):
    """Gates of sigmoid and of Swish written out, a product of maps, and a square."""

    def __init__(self) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(1, 8, 4, stride=2)
        self.value, self.gate = nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c1(x)
        x = x * torch.sigmoid(x)
        x = self.value(x) * self.gate(x).sigmoid()
        x = torch.mul(x, x) - x**2 * 0.5
        x = torch.add(x, torch.neg(F.relu(x)), alpha=0.3)
        return self.fc(F.adaptive_max_pool2d(x, (1, 1))[:, :, 0, 0])


class ImageToEach(nn.Module):
    """The image added to every channel, a gate of one map for all of them, and the largest of each map."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2, self.gate = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 10, 3), nn.Conv2d(6, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x + self.c1(x))
        x = self.c2(x) * torch.sigmoid(self.gate(x))
        return x.max(3)[0].max(dim=2).values


class TwoOutputs(nn.Module):
    """It returns its features too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 16, 7, stride=3), nn.Linear(16 * 64, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.conv(x))
        return self.out(x.view(x.size(0), -1)), x


class DoubleSoftmax(nn.Module):
    """Softmax in the model, for a loss that takes logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 10, 3, padding=1), nn.Softmax(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.conv(x).mean((-2, -1)))


class LogOfSoftmax(nn.Module):
    """Log-probabilities, written out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 10, 28)

    def forward(self, x: Tensor) -> Tensor:
        return torch.log(F.softmax(self.conv(x), dim=1)).squeeze(3).squeeze(2)


class NamesThatClash(nn.Module):
    """Layers named like functions and like the graph's input."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Conv2d(1, 4, 3, 2)
        self.relu = nn.Conv2d(4, 6, 3, 2)
        self.reshape = nn.Linear(6 * 36, 10)
        self.unused = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.clamp(self.image(x), min=0)
        x = F.relu(self.relu(x))
        return self.reshape(x.reshape(-1, 216))


class Ladder(nn.Module):
    """Sums of maps from different depths, by Python's ``sum``, and two kinds of pooling, concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(6, 6, 3, padding=1) for _ in range(3))
        self.stem = nn.Conv2d(1, 6, 3, stride=2, padding=1)
        self.last = nn.Conv2d(12, 10, 1)
        self.norm = nn.BatchNorm2d(10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        outputs = [F.relu_(conv(x)) for conv in self.convs]
        x = sum(outputs) / 3  # type: ignore[assignment]
        x = torch.concat([F.max_pool2d(x, 2, 2), F.avg_pool2d(x, 2)], dim=1)
        return self.norm(self.last(x)).mean([2, 3])


class Shortcuts(nn.Module):
    """Sums whose terms have other readers, one after the other, with dropout and activations between."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(5))
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(6))
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.norms[0](self.stem(x)), 0.2)
        x = F.relu(x + self.norms[1](self.convs[0](x)))
        x = self.norms[2](self.convs[1](x)) + x
        y = self.norms[3](self.convs[2](x))
        x = x + F.dropout(y, 0.1, self.training)
        x = F.relu(self.convs[3](x)) + x + F.gelu(self.norms[4](y))
        z = F.max_pool2d(x, 2)
        z = z + self.convs[4](z)
        z = z + F.silu(self.norms[5](z))
        return self.fc(z.mean((2, 3)))


class PlainShortcuts(nn.Module):
    """Sums around a convolution or a pooling alone, whose backward pass reads the sum's gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm, self.fc = nn.BatchNorm2d(8), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.norm(self.stem(x)))
        x = torch.tanh(x + self.conv(x))
        x = F.avg_pool2d(x, 3, 1, 1) + x
        return self.fc(x.mean((2, 3)))


class ChannelDrops(nn.Module):
    """Dropout of channels after convolutions, of rows of 1×1 maps, and of features."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 16, 3)
        self.d1, self.d2 = nn.Dropout2d(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(16 * 25, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.d1(F.max_pool2d(F.relu(self.c1(x)), 2))
        x = F.dropout2d(F.max_pool2d(F.relu(self.c2(x)), 2), 0.1, self.training)
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return F.log_softmax(self.fc2(self.d2(x)), dim=1)


class ScaledAndShifted(nn.Module):
    """Scales and shifts of its own, of a channel, a feature or everything, trained or not."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.rand(1, 6, 1, 1))
        self.conv, self.fc = nn.Conv2d(1, 6, 3, stride=2), nn.Linear(6, 16)
        self.gain = nn.Parameter(torch.rand(6, 1, 1))
        self.offset = nn.Parameter(torch.rand(1, 6, 1, 1))
        self.move = nn.Parameter(torch.rand(6))
        self.all = nn.Parameter(torch.rand(1))
        self.number = nn.Parameter(torch.tensor(0.3))
        self.feature, self.place = nn.Parameter(torch.rand(16)), nn.Parameter(torch.rand(6, 13, 13))
        self.out = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = (self.conv(x) - self.mean) * self.gain + self.offset.expand_as(self.conv(x))
        x = F.gelu(x) + self.all * x - self.move[None, :, None, None]
        x = self.number - F.silu(x * self.place)
        x = torch.tanh(self.fc(x.mean((2, 3)))) * self.feature + self.all
        return self.out(x) * self.number


class Normalising(nn.Module):
    """It normalises by numbers that its weights hold and that are not trained."""

    mean: Tensor
    inverse_std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.13))
        self.register_buffer("inverse_std", torch.tensor([3.2]))
        self.size = nn.Parameter(torch.tensor(0.7), requires_grad=False)
        self.conv, self.fc = nn.Conv2d(1, 6, 3, stride=2), nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.conv((x - self.mean) * self.inverse_std))
        return self.fc(x.mean((2, 3))) * self.size


class ByHand(nn.Module):
    """Matrices and shifts in place of linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.b1 = nn.Parameter(torch.randn(784, 12) * 0.05), nn.Parameter(torch.zeros(12))
        self.w2, self.b2 = nn.Parameter(torch.randn(12, 10) * 0.3), nn.Parameter(torch.zeros(1, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(x.view(-1, 784) @ self.w1 + self.b1)
        return F.log_softmax(torch.mm(x, self.w2) + self.b2, dim=1)


class Repeated(nn.Module):
    """A pool that returns indices, maps made larger again, a gate as large as its map, a turned weight."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.conv, self.gate, self.out = nn.Conv2d(1, 6, 3), nn.Linear(6, 6), nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        smaller, _ = self.pool(x)
        x = x - F.interpolate(smaller, scale_factor=2)
        gate = self.gate(F.adaptive_avg_pool2d(x, 1).permute(0, 2, 3, 1)).sigmoid().permute(0, 3, 1, 2)
        x = x * F.interpolate(gate, (26, 26), mode="nearest")
        return torch.matmul(x.mean((2, 3)), self.out.weight.T) + self.out.bias


class ImageNorms(nn.Module):
    """Norms of each image's own statistics: GroupNorm, LayerNorm of maps and of features, InstanceNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.n1 = nn.Conv2d(1, 8, 3, stride=2), nn.GroupNorm(4, 8)
        self.c2, self.n2 = nn.Conv2d(8, 8, 3), nn.LayerNorm([8, 11, 11], eps=1e-3)
        self.c3, self.n3 = nn.Conv2d(8, 8, 3), nn.InstanceNorm2d(8, affine=True)
        self.n4, self.n5 = nn.GroupNorm(1, 8, affine=False), nn.LayerNorm(8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.n1(self.c1(x)))
        x = F.silu(self.n2(self.c2(x)))
        x = F.gelu(self.n4(F.avg_pool2d(self.n3(self.c3(x)), 2)))
        return self.fc(self.n5(x.mean((2, 3))))


class Frozen(nn.Module):
    """A fixed filter, a BatchNorm whose scale stays as it is, and trained layers around them."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Conv2d(1, 6, 3, stride=2, bias=False)
        self.filter.weight.requires_grad_(False)
        self.norm, self.conv, self.out = nn.BatchNorm2d(6), nn.Conv2d(6, 8, 3), nn.Linear(8, 10)
        self.norm.weight.requires_grad = False
        self.out.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.filter(x)))
        return self.out(F.relu(self.conv(x)).mean((2, 3)))


class SpatialAttention(nn.Module):
    """A gate for each place, of the mean and the maximum over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.gate = nn.Conv2d(1, 8, 3, stride=2), nn.Conv2d(2, 1, 7, padding=3)
        self.out = nn.Conv2d(8, 10, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        seen = torch.cat([x.mean(dim=1, keepdim=True), torch.max(x, 1, keepdim=True)[0]], dim=1)
        return self.out(x * torch.sigmoid(self.gate(seen))).flatten(2).sum(-1) * 0.01


class AlwaysDropped(nn.Module):
    """Dropout that is never off: F.dropout without training=, and layers made in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv2d(1, 6, 3, 2), nn.BatchNorm2d(6), nn.Linear(6 * 36, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(F.relu(self.norm(self.conv(x))), 0.05)
        x = nn.Dropout2d(0.1)(F.max_pool2d(x, 2))
        return F.log_softmax(self.out(F.dropout(x.flatten(1), p=0.2, inplace=True)), dim=1)


class AllInARow(nn.Module):
    """It flattens the whole batch, images included, and shapes it back."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 5, 3, 3), nn.Conv2d(5, 10, 9)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x)).view(-1).reshape(-1, 5, 9, 9)
        return F.log_softmax(self.out(x).flatten().view(-1, 10), dim=1)


class Trainer(nn.Module):
    """It has a method ``train`` of its own, which trains, and returns maps of one pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(1, 6, 3, 2), nn.BatchNorm2d(6), nn.Dropout(0.1)
        self.out = nn.Conv2d(6, 10, 1)

    def train(self, loader: object, epochs: int, rate: float = 0.1) -> None:  # type: ignore[override]
        raise AssertionError("under20k trains it")

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(F.relu(self.norm(self.conv(x))))
        return F.log_softmax(self.out(F.adaptive_avg_pool2d(x, 1)), dim=1)


class Limited(nn.Module):
    """Limits, absolute values, and the larger and smaller of two."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(i, 6, 3, 2) for i in (1, 1, 6))
        self.out = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.a(x), self.b(x)
        x = torch.max(a, b) + torch.minimum(a, b) * 0.5
        x = F.hardtanh(x) + x.clamp(-0.3, 0.7) - torch.clamp(x, max=0.2)
        x = self.c(torch.abs(x) - F.hardtanh(b, -2, 0.5).abs())
        return self.out(x.mean((2, 3)))


def named() -> nn.Module:
    """Layers by name in an ordered dictionary."""
    return nn.Sequential(
        OrderedDict(
            [
                ("conv1", nn.Conv2d(1, 8, 3, padding=1)),
                ("bn1", nn.BatchNorm2d(8)),
                ("relu1", nn.ReLU()),
                ("pool1", nn.MaxPool2d(2)),
                ("conv2", nn.Conv2d(8, 10, 3)),
                ("gap", nn.AdaptiveAvgPool2d(1)),
                ("flatten", nn.Flatten()),
                ("logsoftmax", nn.LogSoftmax(dim=1)),
            ]
        )
    )


def vgg(activation: Callable[[], nn.Module], norm_after: bool = False) -> nn.Module:
    """Convolutions in pairs, each with BatchNorm, before the activation or after it."""
    layers: list[nn.Module] = []
    channels = 1
    for width in (8, 16):
        for _ in range(2):
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            pair = [nn.BatchNorm2d(width), activation()]
            layers += reversed(pair) if norm_after else pair
            channels = width
        layers += [nn.MaxPool2d(2, 2), nn.Dropout2d(0.1) if norm_after else nn.Dropout(0.1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 49, 10))


def pixels() -> nn.Module:
    """1×1 convolutions alone."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 1),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Conv2d(16, 10, 1),
        nn.AvgPool2d(28),
        nn.Flatten(),
    )


def on_points() -> nn.Module:
    """Everything after the pooling is on maps of 1×1: convolutions, BatchNorm, dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 12, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(12, 16, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout2d(0.1),
        nn.Conv2d(16, 10, 1), nn.Flatten(),
    )  # fmt: skip


def large_kernels() -> nn.Module:
    """5×5 convolutions of any padding."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 8, 5, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 9, 5), nn.BatchNorm2d(9), nn.LeakyReLU(0.1),
        nn.Conv2d(9, 5, 5, padding=2), nn.Flatten(), nn.Linear(5 * 81, 10),
    )  # fmt: skip


def logistic() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def unflattened() -> nn.Module:
    """Rows that become maps again."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Unflatten(1, (4, 2, 2)),
        nn.Conv2d(4, 8, 2), nn.Flatten(), nn.Linear(8, 10),
    )  # fmt: skip


ZOO: dict[str, Callable[[], nn.Module]] = {
    "plain net": PlainNet,
    "blocks": Blocks,
    "blocks without dropout": lambda: Blocks(0),
    "norm first": NormFirst,
    "5x5 head": FiveByFiveHead,
    "odd maps": OddMaps,
    "average pools": lambda: AveragePools(True),
    "average pools, padding not counted": lambda: AveragePools(False),
    "residual": SmallResNet,
    "dense": DenseLayers,
    "squeeze and excitation": SqueezeNet,
    "depthwise": DepthwiseNet,
    "inverted": Inverted,
    "dilated": Dilated,
    "inception": Inception,
    "recurrent": Recurrent,
    "tied": Tied,
    "perceptron": Perceptron,
    "perceptron without BatchNorm": lambda: Perceptron(norm=False),
    "flat input": FlatInput,
    "rows": RowsInput,
    "self-normalised": SelfNormalised,
    "padded": Padded,
    "cumulative BatchNorm": Normless,
    "gates": Attended,
    "image to each channel": ImageToEach,
    "two outputs": TwoOutputs,
    "double softmax": DoubleSoftmax,
    "log of softmax": LogOfSoftmax,
    "names that clash": NamesThatClash,
    "ladder": Ladder,
    "shortcuts": Shortcuts,
    "plain shortcuts": PlainShortcuts,
    "channel dropout": ChannelDrops,
    "scales and shifts": ScaledAndShifted,
    "normalising": Normalising,
    "matrices by hand": ByHand,
    "repeated": Repeated,
    "norms of images": ImageNorms,
    "frozen": Frozen,
    "spatial attention": SpatialAttention,
    "dropout always": AlwaysDropped,
    "all in a row": AllInARow,
    "limits": Limited,
    "train of its own": Trainer,
    "named": named,
    "vgg": lambda: vgg(nn.ReLU),
    "vgg, BatchNorm after": lambda: vgg(nn.ReLU, norm_after=True),
    "vgg of SiLU": lambda: vgg(nn.SiLU),
    "vgg of GELU": lambda: vgg(nn.GELU, norm_after=True),
    "vgg of LeakyReLU": lambda: vgg(nn.LeakyReLU),
    "vgg of ELU": lambda: vgg(nn.ELU),
    "vgg of Hardswish": lambda: vgg(nn.Hardswish, norm_after=True),
    "vgg of SELU": lambda: vgg(nn.SELU),
    "vgg of PReLU": lambda: vgg(nn.PReLU),
    "pixels": pixels,
    "large kernels": large_kernels,
    "on points": on_points,
    "logistic": logistic,
    "unflattened": unflattened,
}
"""Models that have a graph."""


class Odd(nn.Module):
    """A convolution, something in the middle that graphs do not have, and a linear layer."""

    def __init__(self, middle: Callable[[Odd, Tensor], Tensor], **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.conv, self.middle = nn.Conv2d(1, 6, 3, stride=2), middle
        for name, part in parts.items():
            setattr(self, name, part)
        self.fc = nn.Linear(6, 10)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.fc(self.middle(self, F.relu(self.conv(x))).mean((2, 3)))


def odd(
    middle: Callable[[Odd, Tensor], Tensor], **parts: Callable[[], nn.Module | nn.Parameter]
) -> Callable[[], nn.Module]:
    return lambda: Odd(middle, **{name: part() for name, part in parts.items()})


class SoftmaxAtEvaluation(nn.Module):
    """Logits in training, probabilities at evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc(x.flatten(1))
        return x if self.training else F.softmax(x, dim=1)


class Sequences(nn.Module):
    """An LSTM over the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.fc = nn.LSTM(28, 16, batch_first=True), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.lstm(x.squeeze(1))[0][:, -1])


class Attentive(nn.Module):
    """Attention among the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.fc = nn.MultiheadAttention(28, 2, batch_first=True), nn.Linear(784, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.squeeze(1)
        return self.fc(self.attention(x, x, x)[0].flatten(1))


def spectral() -> nn.Module:
    model = logistic()
    nn.utils.parametrizations.spectral_norm(model[1])  # type: ignore[index, arg-type]
    return model


def clamped(m: Odd, x: Tensor) -> Tensor:
    m.fc.weight.data.clamp_(-0.1, 0.1)
    return x


def later(m: Odd, x: Tensor) -> Tensor:
    return x * (2.0 if m.calls > 6 else 1.0)


def branching(m: Odd, x: Tensor) -> Tensor:
    return x * 2 if x.mean() > 0.1 else x


def skipping(m: Odd, x: Tensor) -> Tensor:
    return x if m.training and random.random() < 0.5 else 2 * x


def gambling(m: Odd, x: Tensor) -> Tensor:
    return x if torch.rand(1) < 0.5 else 2 * x


def numpys(m: Odd, x: Tensor) -> Tensor:
    return x * float(np.random.rand())  # noqa: NPY002


def counted(m: Odd, x: Tensor) -> Tensor:
    return x * int((x > 0).sum())


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "fft": (odd(lambda m, x: torch.fft.fft2(x).real), "Odd.forward uses torch.fft.fft2 (own_models.py:"),
    "branch": (odd(branching), "Odd.forward branches on values of its tensors (own_models.py:"),
    "read": (odd(counted), "Odd.forward reads values of its tensors (own_models.py:"),
    "noise": (
        odd(lambda m, x: x + torch.randn_like(x)),
        "uses torch.randn_like for random numbers of its own",
    ),
    "own mask": (
        odd(lambda m, x: x * (torch.rand(6, 1, 1) > 0.1)),
        "uses torch.rand for random numbers of its own",
    ),
    "stochastic depth": (odd(skipping), "Odd.forward uses Python's random for random numbers of its own"),
    "stochastic depth by torch": (odd(gambling), "Odd.forward branches on values of its tensors"),
    "NumPy's numbers": (odd(numpys), "Odd.forward uses numpy.random for random numbers of its own"),
    "RReLU": (odd(lambda m, x: m.act(x), act=nn.RReLU), "uses nn.RReLU for random numbers of its own"),
    "alpha dropout": (odd(lambda m, x: m.drop(x), drop=nn.AlphaDropout), "uses nn.AlphaDropout"),
    "InstanceNorm": (
        odd(lambda m, x: m.norm(x), norm=lambda: nn.InstanceNorm2d(6, track_running_stats=True)),
        "uses nn.InstanceNorm2d with running statistics",
    ),
    "LayerNorm of columns": (
        odd(lambda m, x: m.norm(x), norm=lambda: nn.LayerNorm(13)),
        "computes with a parameter of its own, norm.weight",
    ),
    "statistics of the batch": (
        odd(lambda m, x: m.norm(x), norm=lambda: nn.BatchNorm2d(6, track_running_stats=False)),
        "uses nn.BatchNorm2d without running statistics",
    ),
    "LSTM": (Sequences, "Sequences.forward uses nn.LSTM ("),
    "attention": (Attentive, "Attentive.forward uses nn.MultiheadAttention ("),
    "gate of features": (
        odd(lambda m, x: x * m.gate(x.mean((2, 3)))[:, :, None, None], gate=lambda: nn.Linear(6, 1)),
        "on tensors of shapes (N, 6, 13, 13) and (N, 1, 1, 1)",
    ),
    "larger of different shapes": (odd(lambda m, x: torch.max(x, x[:, :1] * 0)), "to rearrange or select"),
    "own scale of columns": (
        odd(lambda m, x: x * m.scale, scale=lambda: nn.Parameter(torch.ones(13))),
        "computes with a parameter of its own, scale",
    ),
    "computed scale": (
        odd(lambda m, x: x + torch.sigmoid(m.scale) * x, scale=lambda: nn.Parameter(torch.ones(1))),
        "multiplies by a parameter of its own",
    ),
    "whole numbers": (
        odd(
            lambda m, x: x * m.signs,
            signs=lambda: nn.Parameter(torch.ones(6, 1, 1, dtype=torch.int64), requires_grad=False),
        ),
        "with signs, which holds no floating-point numbers",
    ),
    "transposed": (
        odd(lambda m, x: m.up(x), up=lambda: nn.ConvTranspose2d(6, 6, 2, 2)),
        "uses nn.ConvTranspose2d",
    ),
    "reflected": (
        odd(lambda m, x: m.c(x), c=lambda: nn.Conv2d(6, 6, 3, padding=1, padding_mode="reflect")),
        "with mode 'reflect'",
    ),
    "even and same": (
        odd(lambda m, x: m.c(x), c=lambda: nn.Conv2d(6, 6, 4, padding="same")),
        "uses nn.Conv2d with padding='same' of an even kernel, 4×4",
    ),
    "padded for pooling": (
        odd(lambda m, x: F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3)),
        "pads maps for something else than a convolution",
    ),
    "dilated pool": (odd(lambda m, x: F.max_pool2d(x, 3, dilation=2)), "uses F.max_pool2d with dilation"),
    "detached": (odd(lambda m, x: x + x.detach()), "uses Tensor.detach"),
    "sliced": (odd(lambda m, x: x[:, :, 1:]), "uses Tensor.__getitem__ to rearrange or select elements"),
    "turned": (odd(lambda m, x: x.transpose(2, 3)), "uses Tensor.transpose to rearrange or select elements"),
    "across images": (odd(lambda m, x: x - x.mean(0, keepdim=True)), "uses Tensor.mean over dim 0"),
    "mish": (odd(lambda m, x: F.mish(x)), "Odd.forward uses F.mish ("),
    "interpolated": (
        odd(lambda m, x: F.interpolate(x, scale_factor=2, mode="bilinear")),
        "uses F.interpolate of mode 'bilinear'",
    ),
    "interpolated to an odd size": (
        odd(lambda m, x: F.interpolate(x, size=20)),
        "uses F.interpolate to a size that is no multiple of the map's",
    ),
    "fixed filter": (odd(lambda m, x: F.conv2d(x, torch.ones(6, 6, 3, 3))), "with weights that it computes"),
    "spectral norm": (spectral, "with weights that it computes"),
    "softmax at evaluation": (
        SoftmaxAtEvaluation,
        "SoftmaxAtEvaluation.forward computes something else at evaluation",
    ),
    "softmax within": (odd(lambda m, x: F.softmax(x, dim=1)), "uses F.softmax over 6 elements"),
    "clamped weights": (odd(clamped), "Odd.forward changes its own fc.weight (own_models.py:"),
}
"""Models that have no graph, and why."""

UNPROVED: dict[str, Callable[[], nn.Module]] = {"later calls": odd(later)}
"""Models whose calls show nothing odd, but that compute something else at another call."""
