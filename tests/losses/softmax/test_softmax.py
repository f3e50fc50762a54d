"""Losses of several classes: a scalar reference from the equations, reductions, contract."""

import inspect
import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

import fissura.losses
from fissura.losses import LOSSES, SOFTMAX_LOSSES, PerClassLoss, plain

NAMES = sorted(SOFTMAX_LOSSES)
# (name, options): each loss with its defaults, and with its options away from them.
VARIANTS = [(name, {}) for name in NAMES] + [
    ("focal", {"gamma_hat": 0.5}),
    ("dice", {"smooth": 0.3, "squared": True}),
    ("asymmetric_focal", {"gamma_hat": 3.5, "rare": [2]}),
    ("asymmetric_large_margin", {"margin": 1.5, "rare": [1, 3]}),
    ("asymmetric_focal_margin", {"gamma_hat": 1.0, "margin": 1.25, "rare": [3]}),
    ("asymmetric_focal_margin", {"rare": []}),
    ("focal_margin", {"gamma_hat": 0.7, "margin": 1.25}),
    ("tversky", {"delta": 0.2, "smooth": 0.01}),
    ("focal_tversky", {"delta": 0.9, "gamma": 1.5, "smooth": 3.0, "rare": [1]}),
    ("bce_dice", {"smooth": 0.1}),
    ("hybrid_focal", {"gamma_hat": 1.5, "delta": 0.4, "gamma": 0.5, "smooth": 2.0, "rare": [2, 3]}),
    ("hybrid_focal", {"symmetric": True, "focal_weight": 0.3}),
    ("unified_focal", {"delta": 0.7, "gamma": 0.2, "smooth": 0.5, "focal_weight": 0.3}),
    ("unified_focal", {"symmetric": True, "gamma": 0.4, "rare": [1]}),
    ("hybrid_focal_margin", {"gamma_hat": 1.5, "gamma": 0.5, "margin": 1.5, "rare": [1]}),
    ("hybrid_focal_margin", {"symmetric": True, "focal_weight": 0.3, "smooth": 0.5}),
]
PER_PIXEL = [
    name for name in NAMES if "per_image" not in inspect.signature(LOSSES[name]).parameters
]


# --- the equations in python floats -------------------------------------------------------------


def softmax(z, less=None, at=None):
    """Li et al.: the softmax after `less` was subtracted from the logit of class `at`."""
    powers = [math.exp(x - (less if c == at else 0.0)) for c, x in enumerate(z)]
    return [power / sum(powers) for power in powers]


def entropy(pixels, fading, shifted, gamma_hat=2.0, margin=0.5, weight=lambda c: 1.0):
    total = 0.0
    for z, t in pixels:
        for c in range(len(z)):
            p = softmax(z)[c]
            p_hat = softmax(z, margin, c)[c] if c in shifted else p
            fade = (1 - p) ** gamma_hat if c in fading else 1.0
            total -= weight(c) * fade * t[c] * math.log(p_hat)
    return total / len(pixels)


def index(pixels, c, delta=0.7, smooth=1.0):
    tp = fn = fp = 0.0
    for z, t in pixels:
        p = softmax(z)[c]
        tp, fn, fp = tp + p * t[c], fn + (1 - p) * t[c], fp + p * (1 - t[c])
    return (tp + smooth) / (tp + delta * fn + (1 - delta) * fp + smooth)


def dice(pixels, c, smooth=1.0, squared=False):
    power = 2 if squared else 1
    above = sum(2 * softmax(z)[c] * t[c] for z, t in pixels)
    below = sum(softmax(z)[c] ** power + t[c] ** power for z, t in pixels)
    return 1 - (above + smooth) / (below + smooth)


def region(pixels, raised, exponent, classes, **of_index):
    errors = {c: 1 - index(pixels, c, **of_index) for c in classes}
    return sum(error**exponent if c in raised else error for c, error in errors.items())


def weighted(focal, rest, focal_weight):
    if focal_weight is None:
        return focal + rest
    return focal_weight * focal + (1 - focal_weight) * rest


def reference(name, pixels, **given):
    """The loss `name` of a list of (logits, targets) over the classes, in python floats."""
    count = len(pixels[0][0])
    every, front = set(range(count)), set(range(1, count))
    rare = set(given.pop("rare", front))
    symmetric, lam = given.pop("symmetric", False), given.pop("focal_weight", None)
    of_focal = {k: given[k] for k in ("gamma_hat", "margin") if k in given}
    of_index = {k: given[k] for k in ("delta", "smooth") if k in given}
    gamma = given.get("gamma", 0.75)
    match name:
        case "bce":
            return entropy(pixels, set(), set())
        case "focal":
            return entropy(pixels, every, set(), **of_focal)
        case "asymmetric_focal":
            return entropy(pixels, every - rare, set(), **of_focal)
        case "asymmetric_large_margin":
            return entropy(pixels, set(), rare, **of_focal)
        case "asymmetric_focal_margin":
            return entropy(pixels, every - rare, rare, **of_focal)
        case "focal_margin":
            return entropy(pixels, every, every, **of_focal)
        case "dice":
            return sum(dice(pixels, c, **given) for c in front)
        case "bce_dice":
            return entropy(pixels, set(), set()) + sum(dice(pixels, c, **given) for c in front)
        case "tversky":
            return region(pixels, set(), 1.0, front, **of_index)
        case "focal_tversky":
            return region(pixels, rare, gamma, front, **of_index)
        case "unified_focal":
            gamma, delta = given.get("gamma", 0.5), given.get("delta", 0.6)
            focal = entropy(
                pixels,
                every if symmetric else every - rare,
                set(),
                gamma_hat=gamma,
                weight=lambda c: delta if c in rare else 1 - delta,
            )
            raised = every if symmetric else rare
            mean = region(pixels, raised, 1 - gamma, every, **of_index | {"delta": delta}) / count
            return weighted(focal, mean, 0.5 if lam is None else lam)
    of_focal |= {"margin": 0.0} if name == "hybrid_focal" else {}
    sets = (every, every) if symmetric else (every - rare, rare)
    focal = entropy(pixels, *sets, **of_focal)
    ft = region(pixels, every if symmetric else rare, gamma, front, **of_index)
    return weighted(focal, ft, lam)


def random_case(shape, seed, *, soft=False):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    if soft:
        target = torch.rand(shape, generator=generator, dtype=torch.float64)
        return logits, target / target.sum(1, keepdim=True)
    one = (shape[0], 1, *shape[2:])
    return logits, torch.randint(0, shape[1], one, generator=generator)


def one_hot(target, count):
    return torch.cat([(target == c).double() for c in range(count)], 1)


def pixels_of(logits, target):
    if target.shape[1] == 1:
        target = one_hot(target, logits.shape[1])
    flat = [x.movedim(1, -1).reshape(-1, logits.shape[1]).tolist() for x in (logits, target)]
    return list(zip(*flat, strict=True))


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_equals_the_scalar_reference(name, options, soft):
    for seed, shape in enumerate([(3, 4, 5), (1, 4, 2, 3, 2)]):
        logits, target = random_case(shape, seed, soft=soft)
        expected = reference(name, pixels_of(logits, target), **dict(options))
        loss = SOFTMAX_LOSSES[name]
        assert loss(logits, target, **options).item() == pytest.approx(expected, rel=1e-11)
        single = loss(logits.float(), target, **options)
        assert single.dtype == torch.float32
        assert single.item() == pytest.approx(expected, rel=3e-5)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_per_image_is_the_loss_of_each_image(name, options):
    logits, target = random_case((3, 4, 4, 5), 7)
    images = zip(logits, target, strict=True)
    expected = [reference(name, pixels_of(z[None], t[None]), **dict(options)) for z, t in images]
    loss = SOFTMAX_LOSSES[name]
    if name in PER_PIXEL:
        values = loss(logits, target, reduction="none", **options)
        assert values.shape == (3, 1, 4, 5)
        assert values.flatten(1).mean(1).tolist() == pytest.approx(expected, rel=1e-11)
        total = loss(logits, target, reduction="sum", **options).item()
        assert total == pytest.approx(20 * sum(expected), rel=1e-11)
        return
    options = options | {"per_image": True}
    values = loss(logits, target, reduction="none", **options)
    assert values.tolist() == pytest.approx(expected, rel=1e-11)
    assert loss(logits, target, **options).item() == pytest.approx(sum(expected) / 3, rel=1e-11)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_gradients_are_those_of_finite_differences(name, options):
    logits, target = random_case((2, 4, 1, 2), 3, soft=True)
    logits.requires_grad_()
    mask = torch.tensor([1, 1, 0, 1]).reshape(2, 1, 1, 2)
    extra = {} if name in PER_PIXEL else {"per_image": True}

    def pooled(z):
        return SOFTMAX_LOSSES[name](z, target, mask=mask, **options)

    def separate(z):
        return SOFTMAX_LOSSES[name](z, target, reduction="none", **options, **extra)

    assert torch.autograd.gradcheck(pooled, logits)
    assert torch.autograd.gradcheck(separate, logits)
    assert torch.autograd.gradgradcheck(pooled, logits, fast_mode=True)


# --- reductions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize("masked", [False, True], ids=["all valid", "masked"])
@pytest.mark.parametrize(
    ("name", "options"), [(n, {k: v for k, v in o.items() if k != "rare"}) for n, o in VARIANTS]
)
def test_two_classes_are_the_binary_loss_of_the_difference(name, options, masked, soft):
    logits, target = random_case((3, 2, 6, 5), 11, soft=soft)
    crack = target[:, 1:] if soft else target
    mask = torch.rand(3, 1, 6, 5) < 0.7 if masked else None
    difference = logits[:, 1:] - logits[:, :1]
    with plain():
        expected = LOSSES[name](difference, crack, mask=mask, **options)
    loss = SOFTMAX_LOSSES[name](logits, target, mask=mask, **options)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-14)


def test_degenerations_and_peers():
    logits, target = random_case((2, 5, 6, 7), 4)
    soft = random_case((2, 5, 6, 7), 4, soft=True)[1]
    of = {name: SOFTMAX_LOSSES[name] for name in NAMES}

    def same(one, other):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)

    for t in (target, soft):
        theirs = t if t is soft else t[:, 0]
        same(of["bce"](logits, t), F.cross_entropy(logits, theirs))
        for rare in (None, [2, 4]):
            r = {"rare": rare}
            afm = of["asymmetric_focal_margin"]
            same(afm(logits, t, margin=0.0, **r), of["asymmetric_focal"](logits, t, **r))
            same(afm(logits, t, gamma_hat=0.0, **r), of["asymmetric_large_margin"](logits, t, **r))
            same(afm(logits, t, gamma_hat=0.0, margin=0.0, **r), of["bce"](logits, t))
            hybrid = of["hybrid_focal_margin"]
            same(hybrid(logits, t, margin=0.0, **r), of["hybrid_focal"](logits, t, **r))
            same(hybrid(logits, t, **r), afm(logits, t, **r) + of["focal_tversky"](logits, t, **r))
        same(of["asymmetric_focal"](logits, t, rare=[]), of["focal"](logits, t))
        same(of["focal_margin"](logits, t, margin=0.0), of["focal"](logits, t))
        same(of["focal_tversky"](logits, t, gamma=1.0), of["tversky"](logits, t))
        same(of["tversky"](logits, t, delta=0.5, smooth=0.5), of["dice"](logits, t))
    same(of["bce"](logits, target), of["bce"](logits, one_hot(target, 5)))


@given(st.permutations([1, 2, 3]))
def test_the_order_of_the_classes_has_no_say(order):
    logits, target = random_case((2, 4, 3, 3), 5)
    soft = one_hot(target, 4)
    channels = [0, *order]
    for name, options in VARIANTS:
        moved = dict(options)
        if "rare" in moved:
            moved["rare"] = [channels.index(c) for c in moved["rare"]]
        one = SOFTMAX_LOSSES[name](logits, soft, **options)
        other = SOFTMAX_LOSSES[name](logits[:, channels], soft[:, channels], **moved)
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


# --- the contract -------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_masked_pixels_have_no_influence(name, options):
    logits, target = random_case((2, 4, 5, 6), 6)
    mask = torch.rand(2, 1, 5, 6) < 0.6
    other_logits = torch.where(mask, logits, float("nan")).requires_grad_()
    other_target = torch.where(mask, target, 255)
    loss = SOFTMAX_LOSSES[name](other_logits, other_target, mask=mask, **options)
    assert torch.equal(loss, SOFTMAX_LOSSES[name](logits, target, mask=mask, **options))
    loss.backward()
    assert (other_logits.grad[~mask.expand_as(logits)] == 0).all()
    # The same as if the other pixels were not there.
    there = logits.movedim(1, -1)[mask[:, 0]].t()[None], target[mask][None, None]
    torch.testing.assert_close(loss, SOFTMAX_LOSSES[name](*there, **options))
    nothing = SOFTMAX_LOSSES[name](logits, target, mask=torch.zeros_like(mask), **options)
    assert nothing.item() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_extreme_logits_have_finite_losses_and_gradients(name, options, dtype):
    corners = torch.tensor(list(product([-1.0, 0.0, 1.0], repeat=4)))[:, :, None]
    logits = (1e4 * corners).repeat(4, 1, 1).to(dtype).requires_grad_()
    target = torch.arange(4).repeat_interleave(len(corners))[:, None, None]
    extra = {} if name in PER_PIXEL else {"per_image": True}
    losses = SOFTMAX_LOSSES[name](logits, target, reduction="none", **options, **extra)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    assert losses.isfinite().all()
    assert (losses >= 0).all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_perfect_prediction_costs_nothing(name):
    _, target = random_case((2, 4, 3, 3), 2)
    loss = SOFTMAX_LOSSES[name](1e4 * one_hot(target, 4), target)
    assert loss.item() == 0


@pytest.mark.parametrize("name", NAMES)
def test_module_equals_function(name):
    function = inspect.unwrap(SOFTMAX_LOSSES[name])
    joined = function.__name__.replace("_", "")
    (module_name,) = [key for key in fissura.losses.__all__ if key.lower() == joined]
    module = getattr(fissura.losses, module_name)
    assert module.__module__ == function.__module__
    assert "Source:" in function.__doc__
    of_call = {"logits", "target", "mask"}
    of_function = inspect.signature(function).parameters
    of_module = inspect.signature(inspect.unwrap(module.__init__)).parameters
    expected = {k: (p.kind, p.default) for k, p in of_function.items() if k not in of_call}
    assert {k: (p.kind, p.default) for k, p in of_module.items() if k != "self"} == expected
    # The options of the binary loss, and the rare classes where it is asymmetric.
    of_binary = set(inspect.signature(LOSSES[name]).parameters)
    assert set(of_function) - {"rare"} == of_binary
    logits, target = random_case((2, 4, 3, 3), 8)
    assert torch.equal(module()(logits, target), SOFTMAX_LOSSES[name](logits, target))


def test_there_is_a_form_of_every_loss():
    assert list(SOFTMAX_LOSSES) == list(LOSSES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": torch.zeros(2, 1, 3)}, "a channel for the background"),
        ({"logits": torch.zeros(2, 4, 3, dtype=torch.long)}, "floating-point"),
        ({"target": torch.zeros(2, 3, dtype=torch.long)}, r"by target\[:, None\]"),
        ({"target": torch.zeros(2, 1, 3)}, "numbers of classes"),
        ({"target": torch.full((2, 1, 3), 4)}, "from 0 to 3, but holds 4"),
        ({"target": torch.full((2, 1, 3), 255)}, "mask=target != 255"),
        ({"target": torch.zeros(2, 4, 3)}, "add up to 1"),
        ({"mask": torch.ones(2, 4, 3)}, "mask must have the shape"),
        ({"mask": torch.full((2, 1, 3), 0.5)}, "0 and 1"),
        ({"rare": [4]}, "rare must hold classes from 0 to 3"),
        ({"rare": 1}, "sequence"),
        ({"margin": -1.0}, "margin must be"),
        ({"reduction": "max"}, "reduction must be"),
        ({"reduction": "sum"}, "pools all pixels"),
    ],
)
def test_wrong_arguments_are_told(change, message):
    given = {"logits": torch.zeros(2, 4, 3), "target": torch.zeros(2, 1, 3, dtype=torch.long)}
    loss = inspect.unwrap(SOFTMAX_LOSSES["hybrid_focal_margin"])
    with pytest.raises(ValueError, match=message):
        loss(**given | change)


# --- overlapping classes ------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("masked", [False, True], ids=["all valid", "masked"])
def test_overlapping_classes_sum_the_binary_losses(name, masked):
    logits = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 3, 2, 2) < 0.4
    mask = torch.rand(2, 1, 2, 2) < 0.7 if masked else None
    loss = PerClassLoss(LOSSES[name])(logits, target, mask=mask)
    parts = [LOSSES[name](logits[:, c : c + 1], target[:, c : c + 1], mask=mask) for c in range(3)]
    torch.testing.assert_close(loss, sum(parts))
    gradient, expected = (torch.autograd.grad(value, logits) for value in (loss, sum(parts)))
    torch.testing.assert_close(gradient, expected)


def test_overlapping_targets_need_a_channel_each():
    with pytest.raises(ValueError, match="a channel for each class"):
        PerClassLoss(LOSSES["bce"])(torch.zeros(2, 3, 4), torch.zeros(2, 1, 4))
