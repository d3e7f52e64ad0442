"""Small models with the rules that each misses, decided by hand, and the field of what goes into the global
pooling, or into the last layer where there is none.

The base net has two padded 3×3 convolutions, each with BatchNorm, ReLU and 2×2 pooling, and dropout: fields 3,
4 after the pool, 8, 10 after the pool; a 7×7 convolution with jump 4 sees 10 + 6·4 = 34.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune


class Model(nn.Module):
    """Parts by name, and a function of the model and the images."""

    def __init__(self, forward: Callable[[Model, Tensor], Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def block(i: int, o: int, *then: nn.Module) -> list[nn.Module]:
    return [nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(), *then]


def features(p: float = 0.1) -> nn.Sequential:
    """(8, 7, 7), field 10, jump 4."""
    return nn.Sequential(*block(1, 4, nn.MaxPool2d(2)), nn.Dropout(p), *block(4, 8, nn.MaxPool2d(2)))


def seq(*then: nn.Module) -> nn.Sequential:
    return nn.Sequential(features(), *then)


def on(forward: Callable[[Model, Tensor], Tensor], **parts: nn.Module) -> Model:
    return Model(lambda m, x: forward(m, m.f(x)), f=features(), **parts)


CONV7 = lambda: nn.Conv2d(8, 10, 7)  # noqa: E731
CONV1 = lambda: nn.Conv2d(8, 10, 1)  # noqa: E731
GAP = lambda: nn.AdaptiveAvgPool2d(1)  # noqa: E731
FC = lambda i=8: nn.Linear(i, 10)  # noqa: E731


def shared_twice() -> nn.Module:
    def forward(m: Model, x: Tensor) -> Tensor:
        x = m.bn1(m.c(m.stem(x)))
        x = m.bn2(m.c(F.max_pool2d(x, 2)))
        return m.fc(F.dropout(x, 0.2, m.training).flatten(1))

    stem = nn.Sequential(*block(1, 4, nn.MaxPool2d(2)))
    return Model(
        forward, stem=stem, c=nn.Conv2d(4, 4, 3, padding=1), bn1=nn.BatchNorm2d(4), bn2=nn.BatchNorm2d(4),
        fc=FC(196),
    )  # fmt: skip


def tied() -> nn.Module:
    model = seq(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1))
    model[3].weight = model[1].weight
    return model.append(nn.BatchNorm2d(8)).append(nn.Flatten()).append(FC(392))


def gate() -> nn.Module:
    return on(
        lambda m, x: m.last(x * torch.sigmoid(m.fc(x.mean((2, 3))))[:, :, None, None]).amax((2, 3)),
        fc=nn.Linear(8, 8), last=CONV7(),
    )  # fmt: skip


def residual() -> nn.Module:
    return on(lambda m, x: m.c(x + F.relu(m.bn(m.a(x)))).flatten(1), a=nn.Conv2d(8, 8, 3, padding=1),
              bn=nn.BatchNorm2d(8), c=CONV7())  # fmt: skip


def always_dropping() -> nn.Module:
    return on(lambda m, x: m.c(F.dropout(x, 0.3, training=True)).flatten(1), c=CONV7())


def no_dropout(*then: nn.Module) -> nn.Module:
    return nn.Sequential(features(0.0), *then)


def bare() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1), *block(4, 8, nn.MaxPool2d(2)),
        CONV7(), nn.Flatten(),
    )  # fmt: skip


def frozen() -> nn.Module:
    model = seq(CONV7(), nn.Flatten())
    model[0].requires_grad_(False)
    return model


def unused() -> nn.Module:
    """BatchNorm, dropout and a fully connected layer are defined and never used."""
    return Model(
        lambda m, x: m.b(F.max_pool2d(F.relu(m.a(x)), 2)).amax((2, 3)),
        a=nn.Conv2d(1, 4, 3), bn=nn.BatchNorm2d(4), drop=nn.Dropout(), fc=FC(), b=nn.Conv2d(4, 10, 3),
    )  # fmt: skip


def concatenated() -> nn.Module:
    """One BatchNorm over two convolutions' maps together: its channels are those of neither."""
    return on(
        lambda m, x: m.c(m.bn(torch.cat([m.a(x), m.b(x)], 1))).flatten(1),
        a=nn.Conv2d(8, 4, 3, padding=1), b=nn.Conv2d(8, 4, 3, padding=1), bn=nn.BatchNorm2d(8), c=CONV7(),
    )  # fmt: skip


def up(layer: nn.Module) -> nn.Module:
    """Maps made twice as large: the jump halves to 2, and 14 places of a convolution see 13·2 more."""
    return seq(layer, nn.BatchNorm2d(8), nn.Conv2d(8, 10, 14), nn.Flatten())


def upsampled(mode: str) -> nn.Module:
    return seq(nn.Upsample(scale_factor=2, mode=mode), nn.Conv2d(8, 10, 14), nn.Flatten())


def tokens(x: Tensor) -> Tensor:
    """(N, C, H, W) → (N, H·W, C)."""
    return x.flatten(2).transpose(1, 2)


def attention() -> nn.Module:
    """Each place takes of every other by softmax: no softmax of the output."""

    def forward(m: Model, x: Tensor) -> Tensor:
        t = tokens(x)
        return F.log_softmax(m.c((torch.softmax(t @ t.transpose(1, 2), -1) @ t).mean(1)), 1)

    return on(forward, c=FC())


def multihead() -> nn.Module:
    def forward(m: Model, x: Tensor) -> Tensor:
        t = tokens(x)
        return m.c(m.a(t, t, t, need_weights=False)[0].mean(1))

    return on(forward, a=nn.MultiheadAttention(8, 2, batch_first=True), c=FC())


class Hidden(nn.Module):
    """64 · 392 weights that no optimiser and no ``parameters()`` knows of, taken by a product."""

    def __init__(self, product: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.f, self.c, self.product = features(), FC(64), product
        self.register_buffer("w", torch.randn(64, 392))

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.product(self.f(x).flatten(1), self.w))


def attention_with_dropout() -> nn.Module:
    """Nothing else drops."""

    def forward(m: Model, x: Tensor) -> Tensor:
        t = tokens(x)
        return m.c(m.a(t, t, t)[0].mean(1))

    return Model(
        lambda m, x: forward(m, m.f(x)), f=features(0), c=FC(),
        a=nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True),
    )  # fmt: skip


def recurrent() -> nn.Module:
    """Two layers of LSTM over the rows of the image, dropout between them, and the last state."""
    return Model(
        lambda m, x: m.c(m.a(x.squeeze(1))[0][:, -1]),
        a=nn.LSTM(28, 8, 2, dropout=0.2, batch_first=True),
        c=FC(),
    )


def of_three_axes() -> nn.Module:
    """A depth of 1 beside rows and columns."""
    return Model(
        lambda m, x: m.b(m.drop(m.pool(m.bn(m.a(x[:, :, None]))))).mean((2, 3, 4)),
        a=nn.Conv3d(1, 4, (1, 3, 3), padding=(0, 1, 1)), bn=nn.BatchNorm3d(4), pool=nn.MaxPool3d((1, 2, 2)),
        drop=nn.Dropout(0.1), b=nn.Conv3d(4, 10, (1, 5, 5), padding=(0, 2, 2)),
    )  # fmt: skip


def scaled(by: Callable[[Tensor], Tensor]) -> nn.Module:
    """Features times something before they are averaged."""
    return on(lambda m, x: m.c((x * by(x)).mean((2, 3))), c=FC())


def assigned() -> nn.Module:
    """The result of the last layer is put into a tensor made before."""

    def forward(m: Model, x: Tensor) -> Tensor:
        out = x.new_zeros(len(x), 10)
        out[:] = m.c(x).flatten(1)
        return out

    return on(forward, c=CONV7())


def thrown_away(*ignored: nn.Module) -> nn.Module:
    """What the ignored modules make of the maps goes nowhere."""

    def forward(m: Model, x: Tensor) -> Tensor:
        x = m.a(m.f(x))
        m.ignored(x)
        return m.c(x).flatten(1)

    return Model(forward, f=features(0), a=nn.Conv2d(8, 8, 1), ignored=nn.Sequential(*ignored), c=CONV7())


def between(*layers: nn.Module) -> nn.Module:
    """Features, the layers, and a convolution over the whole map."""
    return seq(*layers, CONV7(), nn.Flatten())


def conv8() -> nn.Module:
    return nn.Conv2d(8, 8, 3, padding=1)


B, D, H, R, S, W, P, E, ORDER = (
    *("batch_norm", "dropout", "head", "receptive_field", "softmax", "output", "parameters"),
    *("dropout_off_in_evaluation", "batch_norm_order"),
)
CORPUS: dict[str, tuple[Callable[[], nn.Module], set[str], int]] = {
    "full-map convolution": (lambda: seq(CONV7(), nn.Flatten()), {R}, 10),
    "fully connected": (lambda: seq(nn.Flatten(), FC(392)), {R}, 10),
    "log-softmax": (lambda: seq(nn.Flatten(), FC(392), nn.LogSoftmax(1)), {R}, 10),
    "softmax": (lambda: seq(nn.Flatten(), FC(392), nn.Softmax(1)), {R}, 10),
    "doubled softmax": (lambda: seq(nn.Flatten(), FC(392), nn.Softmax(1), nn.LogSoftmax(1)), {R, S}, 10),
    "nested sequential": (lambda: nn.Sequential(nn.Sequential(seq(CONV7())), nn.Flatten()), {R}, 10),
    "GAP of 1×1 convolution": (lambda: seq(CONV1(), GAP(), nn.Flatten()), {R}, 10),
    "GAP before 1×1 convolution": (lambda: seq(GAP(), CONV1(), nn.Flatten()), {R}, 10),
    "GAP before linear": (lambda: seq(GAP(), nn.Flatten(), FC()), {R}, 10),
    "mean over (2, 3)": (lambda: on(lambda m, x: m.c(x).mean((2, 3)), c=CONV1()), {R}, 10),
    "mean over [-1, -2]": (lambda: on(lambda m, x: m.c(x).mean([-1, -2]), c=CONV1()), {R}, 10),
    "mean then linear": (lambda: on(lambda m, x: m.c(x.mean(dim=(2, 3))), c=FC()), {R}, 10),
    "mean of flattened maps": (lambda: on(lambda m, x: m.c(x.flatten(2).mean(-1)), c=FC()), {R}, 10),
    "torch.mean": (lambda: on(lambda m, x: m.c(torch.mean(x, (2, 3))), c=FC()), {R}, 10),
    "functional adaptive pool": (
        lambda: on(lambda m, x: m.c(F.adaptive_avg_pool2d(x, 1).flatten(1)), c=FC()), {R}, 10),
    "average pool of the whole map": (lambda: seq(nn.AvgPool2d(7), nn.Flatten(), FC()), {R}, 10),
    "average pool of a part": (lambda: seq(nn.AvgPool2d(2), nn.Conv2d(8, 10, 2), nn.MaxPool2d(2), nn.Flatten()),
                               {H, R}, 22),
    "max over the map": (lambda: on(lambda m, x: m.c(x).amax((2, 3)), c=CONV1()), {H, R}, 10),
    "global max pool": (lambda: seq(CONV1(), nn.AdaptiveMaxPool2d(1), nn.Flatten()), {H, R}, 10),
    "mean over rows only": (lambda: on(lambda m, x: m.c(x).mean(2).amax(2), c=CONV1()), {H, R}, 10),
    "gate is no head": (gate, set(), 34),
    "one module used twice": (shared_twice, {R}, 18),
    "tied weights": (tied, {R}, 26),
    "residual": (residual, {R}, 18),
    "dropout p = 0": (lambda: no_dropout(CONV7(), nn.Flatten()), {D, R}, 10),
    "dropout in evaluation": (always_dropping, {R, E}, 10),
    "Dropout2d": (lambda: no_dropout(nn.Dropout2d(0.1), CONV7(), nn.Flatten()), {R}, 10),
    "functional dropout if training": (
        lambda: Model(lambda m, x: m.c(F.dropout(m.f(x), 0.1) if m.training else m.f(x)).flatten(1),
                      f=features(0), c=CONV7()), {R}, 10),
    "functional dropout told not to": (
        lambda: Model(lambda m, x: m.c(F.dropout(m.f(x), 0.1, False)).flatten(1), f=features(0), c=CONV7()),
        {D, R}, 10),
    "no BatchNorm after the first": (bare, {B, R}, 10),
    "ReLU before BatchNorm": (
        lambda: seq(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(8), CONV7(), nn.Flatten()), {ORDER, R}, 18),
    "BatchNorm over a concatenation": (concatenated, {R}, 18),
    "GroupNorm": (lambda: seq(nn.Conv2d(8, 8, 3, padding=1), nn.GroupNorm(2, 8), CONV7(), nn.Flatten()), {B, R}, 18),
    "all defined, none used": (unused, {B, D, H, R}, 8),
    "too many parameters": (lambda: seq(nn.Flatten(), nn.Linear(392, 64), FC(64)), {P}, 34),
    "frozen": (frozen, {R}, 10),
    "11 classes": (lambda: seq(nn.Conv2d(8, 11, 7), nn.Flatten()), {R, W}, 10),
    "output not flattened": (lambda: seq(CONV7()), {R, W}, 10),
    "depthwise": (
        lambda: seq(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), CONV7(), nn.Flatten()), {R}, 18),
    "dilated": (
        lambda: seq(nn.Conv2d(8, 8, 3, padding=2, dilation=2), nn.BatchNorm2d(8), CONV7(), nn.Flatten()), {R}, 26),
    "strided": (
        lambda: seq(nn.Conv2d(8, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 10, 4), nn.Flatten()), {R}, 18),
    "transposed 2×2": (lambda: up(nn.ConvTranspose2d(8, 8, 2, 2)), {R}, 10),
    "transposed 4×4": (lambda: up(nn.ConvTranspose2d(8, 8, 4, 2, 1)), {R}, 14),
    "nearest upsampling": (lambda: upsampled("nearest"), {R}, 10),
    "bilinear upsampling": (lambda: upsampled("bilinear"), {R}, 14),
    "branch on a value": (
        lambda: on(lambda m, x: m.c(x if x.sum() > 0 else -x).flatten(1), c=CONV7()), {R}, 10),
    "product with a matrix": (
        lambda: on(lambda m, x: x.flatten(1) @ m.c.weight.T + m.c.bias, c=FC(392)), {R}, 10),
    "einsum": (lambda: on(lambda m, x: torch.einsum("nchw,kchw->nk", x, m.c.weight), c=CONV7()), {R}, 10),
    "functional convolution": (
        lambda: on(lambda m, x: F.conv2d(x, m.c.weight, m.c.bias).flatten(1), c=CONV7()), {R}, 10),
    "convolution by unfolding": (
        lambda: on(lambda m, x: (m.c.weight.flatten(1) @ F.unfold(x, 7)).flatten(1), c=CONV7()), {R}, 10),
    "mean in two steps": (lambda: on(lambda m, x: m.c(x.mean(3).mean(2)), c=FC()), {R}, 10),
    "mean of a maximum": (lambda: on(lambda m, x: m.c(x).amax(3).mean(2), c=CONV1()), {H, R}, 10),
    "sum over the map, divided": (lambda: on(lambda m, x: m.c(x).sum((2, 3)) / 49, c=CONV1()), {R}, 10),
    "sum over the map": (lambda: on(lambda m, x: m.c(x).sum((2, 3)), c=CONV1()), {H, R}, 10),
    "average pool by the map's own size": (
        lambda: on(lambda m, x: m.c(F.avg_pool2d(x, x.shape[2:]).flatten(1)), c=FC()), {R}, 10),
    "linear place by place": (lambda: on(lambda m, x: m.c(tokens(x)).amax(1), c=FC()), {H, R}, 10),
    "linear place by place, averaged": (lambda: on(lambda m, x: m.c(tokens(x)).mean(1), c=FC()), {R}, 10),
    "linear on channels last": (
        lambda: on(lambda m, x: m.c(x.permute(0, 2, 3, 1)).mean((1, 2)), c=FC()), {R}, 10),
    "convolution in one dimension": (
        lambda: on(lambda m, x: m.c(x.flatten(2)).mean(2), c=nn.Conv1d(8, 10, 1)), {R}, 10),
    "attention": (attention, set(), 34),
    "multi-head attention": (multihead, set(), 34),
    "weights in a buffer": (lambda: Hidden(F.linear), {P}, 34),
    "weights in a buffer, transposed": (lambda: Hidden(lambda x, w: x @ w.T), {P}, 34),
    "weights in a buffer, through operations": (
        lambda: Hidden(lambda x, w: F.linear(x, (w * 1.0).reshape(-1).reshape(64, 392))), {P}, 34),
    "weights in an array": (
        lambda: Hidden(lambda x, w: F.linear(x, torch.from_numpy(w.numpy()) + 0)), {P}, 34),
    "weights in a list": (
        lambda: Hidden(lambda x, w: x @ torch.tensor(w.tolist(), dtype=x.dtype).t()), {P}, 34),
    "pruned": (lambda: seq(prune.l1_unstructured(CONV7(), "weight", 0.5), nn.Flatten()), {R}, 10),
    "spectral norm": (lambda: seq(nn.utils.parametrizations.spectral_norm(CONV7()), nn.Flatten()), {R}, 10),
    "assigned into a tensor": (assigned, {R}, 10),
    "weight normalisation": (lambda: seq(nn.utils.parametrizations.weight_norm(CONV7()), nn.Flatten()), {R}, 10),
    "lazy": (lambda: seq(nn.LazyConv2d(10, 7), nn.Flatten()), {R}, 10),
    "dropout thrown away": (lambda: thrown_away(nn.Dropout()), {B, D, R}, 10),
    "BatchNorm thrown away": (lambda: thrown_away(nn.BatchNorm2d(8)), {B, D, R}, 10),
    "BatchNorm before the convolution": (lambda: between(nn.BatchNorm2d(8), nn.ReLU(), conv8()), {B, R}, 18),
    "dropout before BatchNorm": (lambda: between(conv8(), nn.Dropout(0.1), nn.BatchNorm2d(8)), {ORDER, R}, 18),
    "pooling before BatchNorm": (lambda: between(conv8(), nn.AvgPool2d(1), nn.BatchNorm2d(8)), {R}, 18),
    "no BatchNorm after the last": (lambda: seq(conv8(), nn.AvgPool2d(7), nn.Flatten(), FC()), {R}, 18),
    "every second pixel": (
        lambda: on(lambda m, x: m.c(x[..., ::2, ::2]).flatten(1), c=nn.Conv2d(8, 10, 4)), {R}, 10),
    "space to depth": (
        lambda: nn.Sequential(nn.PixelUnshuffle(2), *block(4, 8, nn.MaxPool2d(2)), nn.Dropout(), CONV7(), nn.Flatten()),
        {R}, 8),
    "padded by hand": (lambda: on(lambda m, x: m.c(F.pad(x, (1, 1, 1, 1))).flatten(1), c=nn.Conv2d(8, 10, 9)),
                       {R}, 10),
    "in place, the result ignored": (lambda: on(lambda m, x: (x.relu_(), m.c(x))[1].flatten(1), c=CONV7()), {R}, 10),
    "normalises its input": (
        lambda: Model(lambda m, x: m.c(m.f((x - 0.1307) / 0.3081)).flatten(1), f=features(), c=CONV7()), {R}, 10),
    "one channel made three": (
        lambda: Model(lambda m, x: m.c(m.b(m.a(x.expand(-1, 3, -1, -1)))).flatten(1), a=nn.Conv2d(3, 4, 4, 4),
                      b=nn.Sequential(nn.BatchNorm2d(4), nn.Dropout()), c=nn.Conv2d(4, 10, 7)), {R}, 4),
    "log of softmax": (lambda: on(lambda m, x: m.c(x).flatten(1).softmax(1).log(), c=CONV7()), {R}, 10),
    "softmax over the batch": (lambda: seq(nn.Flatten(), FC(392), nn.LogSoftmax(0)), {R, S}, 10),
    "multilayer perceptron": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Dropout(),
                                                    FC(16)), {B}, 28),
    "weights in a buffer, bilinear": (
        lambda: Hidden(lambda x, w: F.bilinear(x, x[:, :1], w[:, :, None])), {P}, 34),
    "weights in a buffer, inner product": (lambda: Hidden(torch.inner), {P}, 34),
    "weights in a buffer, tensordot": (
        lambda: Hidden(lambda x, w: torch.tensordot(x, w, ([1], [1]))), {P}, 34),
    "weights in a buffer, one axis": (
        lambda: Hidden(lambda x, w: F.conv1d(x[:, None], w[:, None]).flatten(1)), {P}, 34),
    "weights in a buffer, three axes": (
        lambda: Hidden(lambda x, w: F.conv3d(x.view(-1, 1, 8, 7, 7), w.view(64, 1, 8, 7, 7)).flatten(1)), {P}, 34),
    "weights in a buffer, times and sum": (
        lambda: Hidden(lambda x, w: (x[:, None] * w).sum(-1)), {P}, 34),
    "weights in a buffer, times and sum of maps": (
        lambda: Hidden(lambda x, w: (x.view(-1, 1, 8, 7, 7) * w.view(64, 8, 7, 7)).sum((2, 3, 4))), {P}, 34),
    "weights in a buffer, times, turned, mean": (
        lambda: Hidden(lambda x, w: (x[:, None] * w).transpose(1, 2).mean(1)), {P}, 34),
    "scaled by channel": (lambda: scaled(lambda x: torch.linspace(0.5, 1, 8).view(8, 1, 1)), {R}, 10),
    "masked at random": (lambda: scaled(lambda x: (torch.rand_like(x) > 0.1).float()), {R}, 10),
    "a gate at the end is no head": (
        lambda: on(lambda m, x: (lambda y: y * y.mean((2, 3), keepdim=True).sigmoid())(m.c(x)).amax((2, 3)),
                   c=CONV1()), {H}, 34),
    "an average that is taken away is no head": (
        lambda: on(lambda m, x: (lambda y: y - y.mean((2, 3), keepdim=True))(m.c(x)).amax((2, 3)), c=CONV1()),
        {H}, 34),
    "attention with dropout": (attention_with_dropout, set(), 34),
    "recurrent": (recurrent, {B}, 28),
    "convolutions of three axes": (of_three_axes, {R}, 12),
    "1×1 convolutions after the average": (
        lambda: seq(GAP(), nn.Conv2d(8, 8, 1), nn.ReLU(), CONV1(), nn.Flatten()), {R}, 10),
    "linear layers after the average": (
        lambda: seq(GAP(), nn.Flatten(), nn.Linear(8, 8), nn.ReLU(), FC()), {R}, 10),
}  # fmt: skip
