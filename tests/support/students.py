"""Networks of the shapes that students hand in, each with what a careful teacher would say of it.

``RIGHT`` gives for each the rules that it misses, advised ones included, decided by reading.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def cbr(i: int, o: int, k: int = 3, **options: int | bool) -> nn.Sequential:
    """A convolution that keeps the size, BatchNorm, ReLU."""
    return nn.Sequential(nn.Conv2d(i, o, k, padding=k // 2, **options), nn.BatchNorm2d(o), nn.ReLU())  # type: ignore[arg-type]


class LeNet(nn.Module):
    """No BatchNorm at all; the second convolution is the last."""

    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 12, 5)
        self.bn1 = nn.BatchNorm2d(6) if norm else nn.Identity()
        self.fc1, self.fc2 = nn.Linear(12 * 5 * 5, 32), nn.Linear(32, 10)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return F.log_softmax(self.fc2(self.drop(F.relu(self.fc1(x.flatten(1))))), dim=1)


class ConvReluNorm(nn.Module):
    """Convolution, ReLU, BatchNorm everywhere, with a 1×1 convolution between and one before the average."""

    def __init__(self) -> None:
        super().__init__()

        def block(i: int, o: int, k: int = 3) -> list[nn.Module]:
            return [nn.Conv2d(i, o, k, bias=False), nn.ReLU(), nn.BatchNorm2d(o), nn.Dropout(0.05)]

        self.convblock1 = nn.Sequential(*block(1, 8), *block(8, 12))
        self.transition = nn.Sequential(nn.MaxPool2d(2), *block(12, 8, 1))
        self.convblock2 = nn.Sequential(*block(8, 12), *block(12, 12), *block(12, 16))
        self.last = nn.Conv2d(16, 10, 1, bias=False)
        self.gap = nn.AvgPool2d(6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.convblock2(self.transition(self.convblock1(x))))
        return F.log_softmax(self.gap(x).view(-1, 10), dim=-1)


class Residual(nn.Module):
    """A basic block with a projection; ``norms`` says where BatchNorm is."""

    def __init__(self, i: int, o: int, norms: str) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(i, o, 3, 2, 1, bias=False), nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.b1, self.b2 = nn.BatchNorm2d(o), nn.BatchNorm2d(o) if "2" in norms else nn.Identity()
        self.short = nn.Conv2d(i, o, 1, 2, bias=False)
        self.bs = nn.BatchNorm2d(o) if "s" in norms else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.b2(self.c2(F.relu(self.b1(self.c1(x)))))
        return F.relu(y + self.bs(self.short(x)))


def resnet(norms: str) -> nn.Module:
    return nn.Sequential(
        cbr(1, 8), Residual(8, 12, norms), Residual(12, 16, norms), nn.Dropout(0.1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip


class PreActivation(nn.Module):
    """BatchNorm and ReLU before each convolution; ``final`` is what comes after the last sum."""

    def __init__(self, final: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 12, 3, 2, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(12) for _ in range(4))
        self.convs = nn.ModuleList(nn.Conv2d(12, 12, 3, padding=1, bias=False) for _ in range(4))
        self.final = nn.BatchNorm2d(12) if final else nn.Identity()
        self.drop, self.fc = nn.Dropout(0.1), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for i in (0, 2):
            y = self.convs[i](F.relu(self.norms[i](x)))
            x = x + self.convs[i + 1](self.drop(F.relu(self.norms[i + 1](y))))
            x = F.max_pool2d(x, 2)
        return self.fc(F.relu(self.final(x)).mean((2, 3)))


class Dense(nn.Module):
    """Each layer takes the concatenation of all before it, normalised as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8 + 6 * i) for i in range(4))
        self.convs = nn.ModuleList(nn.Conv2d(8 + 6 * i, 6, 3, padding=1, bias=False) for i in range(3))
        self.drop, self.fc = nn.Dropout(0.1), nn.Linear(26, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.stem(x), 2)
        for norm, conv in zip(self.norms, self.convs, strict=False):
            x = torch.cat([x, self.drop(conv(F.relu(norm(x))))], 1)
        return self.fc(F.adaptive_avg_pool2d(F.relu(self.norms[3](x)), 1).flatten(1))


class Inception(nn.Module):
    """Three branches, concatenated; ``norm`` is after the concatenation, after each, or nowhere."""

    def __init__(self, norm: str) -> None:
        super().__init__()
        self.stem = cbr(1, 8)
        each = (lambda o: nn.BatchNorm2d(o)) if norm == "each" else (lambda o: nn.Identity())
        self.a = nn.Sequential(nn.Conv2d(8, 6, 1), each(6), nn.ReLU())
        self.b = nn.Sequential(nn.Conv2d(8, 6, 3, padding=1), each(6), nn.ReLU())
        self.c = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(8, 6, 1), each(6), nn.ReLU())
        self.bn = nn.BatchNorm2d(18) if norm == "whole" else nn.Identity()
        self.last, self.drop = nn.Conv2d(18, 10, 3, padding=1), nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.stem(x), 2)
        x = self.bn(torch.cat([self.a(x), self.b(x), self.c(x)], 1))
        return self.last(self.drop(x)).mean((-2, -1))


class Gated(nn.Module):
    """Squeeze-and-excitation, then spatial attention, before the last convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = cbr(1, 8), cbr(8, 16)
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 4, 1), nn.ReLU(), nn.Conv2d(4, 16, 1), nn.Sigmoid()
        )
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)
        self.last, self.drop = nn.Conv2d(16, 10, 3), nn.Dropout(0.05)

    def forward(self, x: Tensor) -> Tensor:
        x = self.b(F.max_pool2d(self.a(x), 2))
        x = x * self.squeeze(x).expand_as(x)
        where = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        x = x * torch.sigmoid(self.spatial(where))
        return F.adaptive_avg_pool2d(self.last(self.drop(x)), 1).flatten(1)


class Separable(nn.Module):
    """Depthwise and pointwise halves; ``norms`` says after which of them BatchNorm is."""

    def __init__(self, norms: str) -> None:
        super().__init__()
        layers: list[nn.Module] = [*cbr(1, 8)]
        for i, o in ((8, 16), (16, 24), (24, 24)):
            layers += [nn.Conv2d(i, i, 3, padding=1, groups=i, bias=False)]
            layers += [nn.BatchNorm2d(i), nn.ReLU()] if "d" in norms else []
            layers += [nn.Conv2d(i, o, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.1), nn.Linear(24, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean([2, 3]))


class GhostNorm(nn.BatchNorm2d):
    """In training, statistics of each of ``parts`` parts of the batch."""

    def __init__(self, channels: int, parts: int) -> None:
        super().__init__(channels)
        self.parts = parts
        self.running_mean = torch.zeros(channels * parts)
        self.running_var = torch.ones(channels * parts)

    def forward(self, x: Tensor) -> Tensor:
        (n, c, h, w), k = x.shape, self.parts
        if not self.training:
            mean, var = (s.view(k, c).mean(0) for s in (self.running_mean, self.running_var))
            return F.batch_norm(x, mean, var, self.weight, self.bias, False, self.momentum, self.eps)
        return F.batch_norm(
            x.view(-1, c * k, h, w), self.running_mean, self.running_var, self.weight.repeat(k),
            self.bias.repeat(k), True, self.momentum, self.eps,
        ).view(n, c, h, w)  # fmt: skip


def ghost(parts: int) -> nn.Module:
    layers: list[nn.Module] = []
    for i, o in ((1, 8), (8, 12)):
        layers += [nn.Conv2d(i, o, 3, padding=1), GhostNorm(o, parts), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Dropout(0.1), nn.Conv2d(12, 10, 3), nn.AvgPool2d(5), nn.Flatten())


class SharedConvolution(nn.Module):
    """One convolution three times, each time with a BatchNorm of its own but the ``bare`` one."""

    def __init__(self, bare: int = -1) -> None:
        super().__init__()
        self.stem, self.conv, self.drop = cbr(1, 16), nn.Conv2d(16, 16, 3, padding=1), nn.Dropout2d(0.05)
        self.norms = nn.ModuleList(nn.Identity() if i == bare else nn.BatchNorm2d(16) for i in range(3))
        self.last = nn.Conv2d(16, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for norm in self.norms:
            x = self.drop(F.max_pool2d(F.relu(norm(self.conv(x))), 2))
        return self.last(x).mean((2, 3))


class UpAndDown(nn.Module):
    """A small U-Net with a transposed convolution and a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.middle = cbr(1, 8), cbr(8, 12)
        self.up = nn.ConvTranspose2d(12, 8, 2, 2)
        self.norm, self.drop = nn.BatchNorm2d(8), nn.Dropout(0.1)
        self.out, self.head = cbr(16, 12), nn.Conv2d(12, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        y = F.relu(self.norm(self.up(self.middle(F.max_pool2d(x, 2)))))
        return self.head(self.drop(self.out(torch.cat([x, y], 1)))).mean((2, 3))


def perceptron() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Dropout(0.2), nn.Linear(20, 10)
    )


class NormOfRow(nn.Module):
    """The maps are flattened before BatchNorm, which then keeps statistics of each element."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 5, 2), cbr(4, 8, 1)
        self.norm, self.fc, self.drop = nn.BatchNorm1d(4 * 144), nn.Linear(8 * 144, 10), nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.a(x).flatten(1)).view(-1, 4, 12, 12)
        return self.fc(self.drop(self.b(F.relu(x))).flatten(1))


class HalfNormed(nn.Module):
    """BatchNorm on the main path; the shortcut takes the convolution's output before it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.bn, self.b = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), cbr(8, 8)
        self.last, self.drop = nn.Conv2d(8, 10, 3), nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        return self.last(self.drop(x + self.b(F.relu(self.bn(x))))).mean((2, 3))


B, ORDER, R = "batch_norm", "batch_norm_order", "receptive_field"
RIGHT: dict[str, tuple[Callable[[], nn.Module], set[str]]] = {
    # The stem's field is 5, 6 after pooling, 14, 16; two linear layers follow, the last of which takes
    # what has seen 16 + 4·4 = 32 pixels.
    "LeNet": (lambda: LeNet(), {B}),
    "LeNet with BatchNorm": (lambda: LeNet(norm=True), set()),
    # 3, 5, 6 pooled, then 4 more for each of three: 18.
    "conv-relu-bn": (ConvReluNorm, {ORDER, R}),
    # Stem 3; blocks of stride 2: 5, 9; 13, 21.
    "residual": (lambda: resnet("2s"), {R}),
    "residual, shortcut without": (lambda: resnet("2"), {B, R}),
    "residual, neither at the sum": (lambda: resnet(""), {B, R}),
    # 3, 7, 11, 13 pooled (jump 4), 21, 29, and the pooling at the end, 33.
    "pre-activation": (lambda: PreActivation(True), set()),
    "pre-activation without a final BatchNorm": (lambda: PreActivation(False), set()),
    # 3, 4, then 8, 12, 16.
    "dense": (Dense, {R}),
    "inception, each": (lambda: Inception("each"), {R}),
    "inception, after the concatenation": (lambda: Inception("whole"), {ORDER, R}),
    "inception, none": (lambda: Inception("none"), {B, R}),
    "gated": (Gated, set()),
    # 3, 5, 6; 10, 12; 20, 24.
    "separable": (lambda: Separable("dp"), {R}),
    "separable, depthwise without": (lambda: Separable("p"), {B, R}),
    "ghost BatchNorm of 2": (lambda: ghost(2), {R}),
    "ghost BatchNorm of 4": (lambda: ghost(4), {R}),
    "ghost BatchNorm of 8": (lambda: ghost(8), {R}),
    # 3, 5, 6; 10, 12; 20, 24.
    "shared": (lambda: SharedConvolution(), {R}),
    "shared, one use without": (lambda: SharedConvolution(1), {B, R}),
    "up and down": (UpAndDown, {R}),
    "perceptron": (perceptron, {B}),
    "BatchNorm of a row": (NormOfRow, {R}),
    "shortcut before BatchNorm": (HalfNormed, {B, R}),
}
