"""First-order MAML: the step is autograd's, the limit is what wide networks come near."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_omniglot
import torch
from torch.nn.functional import cross_entropy

from widthwise.errors import AssetError, LimitError
from widthwise.experiments.maml import (
    KERNELS,
    RECIPES,
    KernelMethod,
    LayerScales,
    MamlSettings,
    MetaRecipe,
    Omniglot,
    load_omniglot,
    meta_train,
    recipe_of,
)
from widthwise.experiments.maml.kernels import DictionaryFunction, LinearFunction
from widthwise.experiments.maml.networks import (
    GramNetwork,
    WeightNetwork,
    finite_network,
    limit_network,
)
from widthwise.experiments.maml.tasks import Episodes, draw_tasks
from widthwise.theory import fit_rate

PIXELS = tiny_omniglot.SIDE**2
SCALES = LayerScales(u=0.8, v=0.6, bias=0.7)
STEP = {"inner_lr": 0.4, "lr": 0.3, "clip": 0.5}
SHORT = MamlSettings(steps=20, epoch=5, tasks=8, validation_batches=4, test_batches=4)
EXACT = 1e-10  # float64 after a few steps


@pytest.fixture(scope="module")
def data(tmp_path_factory: Any) -> Omniglot:
    return load_omniglot(tiny_omniglot.save(tmp_path_factory.mktemp("data") / "tiny.npz"))


def batches(data: Omniglot, number: int, tasks: int = 4, bias: float = 0.7) -> list[Episodes]:
    rng = np.random.default_rng(5)
    return [draw_tasks(data.train, tasks, rng, bias=bias, dtype=np.float64) for _ in range(number)]


def random_weights(width: int, seed: int = 1) -> WeightNetwork:
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(width, PIXELS + 1)) * 0.4
    return WeightNetwork(first, rng.normal(size=(5, width)) * 0.4)


def grams_of(net: WeightNetwork) -> GramNetwork:
    return GramNetwork(
        net.first.T @ net.first, net.readout @ net.first, net.readout @ net.readout.T
    )


def torch_step(net: WeightNetwork, batch: Episodes, inner_steps: int) -> tuple[Any, Any, float]:
    """The same step by autograd, task by task, the weights themselves adapted."""
    start = [torch.tensor(w) for w in (net.first, net.readout)]
    total = [torch.zeros_like(w) for w in start]
    labels = torch.arange(5)

    def gradients(weights: list[torch.Tensor], images: np.ndarray) -> Any:
        leaves = [w.detach().requires_grad_() for w in weights]
        logits = torch.tensor(images) @ leaves[0].T @ leaves[1].T
        return torch.autograd.grad(cross_entropy(logits, labels), leaves)

    for support, query in zip(batch.support, batch.query, strict=True):
        adapted = start
        for _ in range(inner_steps):
            moves = gradients(adapted, support)
            adapted = [w - STEP["inner_lr"] * g for w, g in zip(adapted, moves, strict=True)]
        total = [t + g for t, g in zip(total, gradients(adapted, query), strict=True)]
    norm = float(torch.sqrt(sum(t.square().sum() for t in total)))
    rate = STEP["lr"] * min(1.0, STEP["clip"] / norm)
    return *(w - rate * t for w, t in zip(start, total, strict=True)), norm


@pytest.mark.parametrize("inner_steps", [1, 3])
def test_a_step_is_that_of_autograd(data: Omniglot, inner_steps: int) -> None:
    net = random_weights(7)
    for batch in batches(data, 3):
        first, readout, norm = torch_step(net, batch, inner_steps)
        assert net.meta_step(batch, inner_steps=inner_steps, **STEP) == pytest.approx(norm)
        np.testing.assert_allclose(net.first, first, atol=EXACT)
        np.testing.assert_allclose(net.readout, readout, atol=EXACT)
    assert norm > STEP["clip"]  # so that clipping was seen


@pytest.mark.parametrize("inner_steps", [1, 3])
def test_inner_products_of_the_weights_are_enough(data: Omniglot, inner_steps: int) -> None:
    net = random_weights(7)
    grams = grams_of(net)
    for batch in batches(data, 6):
        norms = [n.meta_step(batch, inner_steps=inner_steps, **STEP) for n in (net, grams)]
        assert norms[0] == pytest.approx(norms[1], rel=EXACT)
        answers = [n.logits(batch, 0.4, 20) for n in (net, grams)]
        np.testing.assert_allclose(*answers, atol=EXACT)


def test_the_limit_is_the_small_network_of_special_weights(data: Omniglot) -> None:
    """U = [s I; 0] and V = [0 | s' I], of width d + o: the way the paper's own code has it."""
    first, readout = np.zeros((PIXELS + 5, PIXELS + 1)), np.zeros((5, PIXELS + 5))
    first[:PIXELS, :PIXELS] = SCALES.u * np.eye(PIXELS)
    readout[:, PIXELS:] = SCALES.v * np.eye(5)
    small, limit = WeightNetwork(first, readout), limit_network(PIXELS, SCALES, np.float64)
    for batch in batches(data, 6):
        for net in (small, limit):
            net.meta_step(batch, inner_steps=1, **STEP)
        np.testing.assert_allclose(*(n.logits(batch, 0.4, 20) for n in (small, limit)), atol=EXACT)


def after_steps(net: Any, work: list[Episodes]) -> np.ndarray:
    for batch in work[1:]:
        net.meta_step(batch, inner_steps=1, **STEP)
    return np.asarray(net.logits(work[0], 0.4, 5))


def test_networks_come_near_the_limit_as_they_get_wider(data: Omniglot) -> None:
    work = batches(data, 6)
    limit = after_steps(limit_network(PIXELS, SCALES, np.float64), work)
    widths, seeds = (64, 256, 1024, 4096), 12
    runs = np.empty((len(widths), seeds))
    for i, width in enumerate(widths):
        for seed in range(seeds):
            rng = np.random.default_rng([width, seed])
            found = after_steps(finite_network(width, PIXELS, SCALES, rng, np.float64), work)
            runs[i, seed] = np.sqrt(np.square(found - limit).mean())
    rate = fit_rate(widths, runs)
    # A run's logarithm varies by 0.3, so that the slope of 48 has an error of 0.03.
    assert rate.slope.value == pytest.approx(-0.5, abs=0.1)
    assert rate.sizes[-1] < 0.1 * np.abs(limit).max()


def test_the_mean_of_many_networks_comes_near_the_limit_faster(data: Omniglot) -> None:
    """Fluctuations average out; what is left is the bias of a finite width, of order 1 / n."""
    work = batches(data, 4)
    limit = after_steps(limit_network(PIXELS, SCALES, np.float64), work)

    def bias(width: int, seeds: int = 120) -> float:
        rngs = (np.random.default_rng([width, seed]) for seed in range(seeds))
        nets = (finite_network(width, PIXELS, SCALES, rng, np.float64) for rng in rngs)
        mean = np.mean([after_steps(net, work) for net in nets], axis=0)
        return float(np.sqrt(np.square(mean - limit).mean()))

    # Ten times the width: by n^-1/2 it would fall to 0.32, by 1 / n to 0.1, beside what noise 120
    # networks leave.
    assert bias(40) < 0.22 * bias(4)


def test_gradients_of_the_limit_are_those_of_a_very_wide_network(data: Omniglot) -> None:
    """By what one unclipped step does to the function at all inputs, M = VU."""
    (batch,) = batches(data, 1)
    wide = finite_network(400_000, PIXELS, SCALES, np.random.default_rng(0), np.float64)
    limit = limit_network(PIXELS, SCALES, np.float64)
    assert isinstance(wide, GramNetwork)
    before = wide.m.copy()
    for net in (wide, limit):
        net.meta_step(batch, inner_steps=1, inner_lr=0.4, lr=1e-3, clip=1e9)
    # Entries of inner products are off by 1 / sqrt(400 000) = 0.0016, of which sums are taken.
    size = np.abs(limit.m).max()
    np.testing.assert_allclose(wide.m - before, limit.m, atol=0.01 * size)


def test_tasks_are_of_five_classes_and_two_images(data: Omniglot) -> None:
    batch = draw_tasks(data.train, 500, np.random.default_rng(0), bias=2.0, dtype=np.float64)
    flat = data.train.reshape(-1, PIXELS) / 255
    np.testing.assert_allclose(batch.query[..., :-1], flat[batch.query_ids])
    assert (batch.support[..., -1] == 2).all()
    copies = data.train.shape[1]
    classes = batch.query_ids // copies
    assert all(len(set(row)) == 5 for row in classes.tolist())
    assert set(batch.query_ids.ravel()) == set(range(len(flat)))  # all are drawn
    for task in range(20):
        for way in range(5):
            others = flat.reshape(-1, copies, PIXELS)[classes[task, way]]
            same = [np.allclose(batch.support[task, way, :-1], image) for image in others]
            assert any(same)
            assert not same[batch.query_ids[task, way] % copies]


def test_turned_characters_are_classes_of_their_own(data: Omniglot) -> None:
    raw = tiny_omniglot.arrays()
    assert len(data.train) == 4 * len(raw["train"])
    assert len(data.val) == 4 * len(raw["val"])
    assert len(data.test) == len(raw["test"])
    turned = np.rot90(raw["X"][raw["train"][2], 1]).ravel()
    np.testing.assert_array_equal(data.train[len(raw["train"]) + 2, 1], turned)


def relu_features(images: np.ndarray, kernel: KernelMethod, width: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    hidden = images @ rng.normal(size=(images.shape[1], width)) * kernel.w**0.5
    hidden += rng.normal(size=width) * kernel.b**0.5
    return np.maximum(hidden, 0), hidden > 0, rng.normal(size=width) * kernel.v**0.5


def test_relu_kernels_are_those_of_a_very_wide_network() -> None:
    images, width = np.random.default_rng(1).random((6, 5)), 400_000
    gp = KernelMethod(kind="gp", w=0.7, b=0.3)
    ntk = KernelMethod(kind="ntk", w=0.7, b=0.3, v=1.7)
    features, active, out = relu_features(images, ntk, width)
    sampled = features @ features.T / width
    by_first = (active * out) @ (active * out).T / width * (images @ images.T)
    # Four standard errors of a mean of 400 000 products of this size: 4 x 3 / 632.
    np.testing.assert_allclose(gp.between(images, images), sampled, atol=0.02)
    np.testing.assert_allclose(ntk.between(images, images), sampled + by_first, atol=0.02)


def test_relu_kernels_at_a_point_and_its_mirror() -> None:
    x = np.array([[3.0, 4.0]])
    gp = KernelMethod(kind="gp", w=2.0, b=1.0)
    assert gp.between(x, x)[0, 0] == pytest.approx((2 * 25 + 1) / 2)  # E[relu^2] is half
    ntk = KernelMethod(kind="ntk", w=1.0, v=3.0)
    assert ntk.between(x, x)[0, 0] == pytest.approx(12.5 + 3 * 0.5 * 25)
    assert ntk.between(x, -x)[0, 0] == pytest.approx(0.0, abs=1e-12)  # never active at once


def test_the_dictionary_holds_what_the_weights_of_the_linear_kernel_hold(data: Omniglot) -> None:
    kernel = KernelMethod(kind="linear", w=0.5, b=0.3)
    weights = LinearFunction(kernel, PIXELS)
    table = DictionaryFunction(kernel, data.train)
    for batch in batches(data, 5):
        norms = [f.meta_step(batch, inner_steps=2, **STEP) for f in (weights, table)]
        assert norms[0] == pytest.approx(norms[1])
        np.testing.assert_allclose(*(f.logits(batch, 0.4, 20) for f in (weights, table)))
    assert 0 < np.count_nonzero(table.coefficients.any(axis=1)) <= 5 * 20


def test_the_linear_kernel_is_descent_of_linear_weights(data: Omniglot) -> None:
    """Its norm and its step are those of W in f(x) = W x, in the coordinates of the kernel."""
    (batch,) = batches(data, 1, bias=0.0)
    function = LinearFunction(KernelMethod(kind="linear"), PIXELS)
    net = torch.zeros((5, PIXELS), dtype=torch.float64)
    labels, total = torch.arange(5), torch.zeros_like(net)
    for support, query in zip(batch.support, batch.query, strict=True):
        adapted = net
        for images in (support, query):
            leaf = adapted.clone().requires_grad_()
            loss = cross_entropy(torch.tensor(images[:, :-1]) @ leaf.T, labels)
            (gradient,) = torch.autograd.grad(loss, leaf)
            adapted = adapted - STEP["inner_lr"] * gradient
        total += gradient
    assert function.meta_step(batch, inner_steps=1, **STEP) == pytest.approx(float(total.norm()))
    rate = STEP["lr"] * min(1.0, STEP["clip"] / float(total.norm()))
    np.testing.assert_allclose(function.weights.T, -rate * total, atol=EXACT)


@pytest.mark.parametrize(("network", "width"), [("finite", 6), ("finite", 60), ("limit", None)])
def test_a_seed_decides_everything(data: Omniglot, network: str, width: int | None) -> None:
    def run(seed: int) -> Any:
        found = meta_train(data, network, width, seed=seed, settings=SHORT)
        return found.test, found.best_step, found.validation

    assert run(3) == run(3)
    assert run(3) != run(4)


def test_validations_come_every_epoch_and_the_best_is_kept(data: Omniglot) -> None:
    told: list[int] = []
    found = meta_train(data, "limit", settings=SHORT, on_step=told.append)
    assert told == list(range(1, 21))
    curve = dict(found.validation)
    assert list(curve) == [5, 10, 15, 20]
    assert curve[found.best_step or 0] == max(curve.values())
    assert found.test is not None
    assert found.test.tasks == 32


def test_the_checkpoint_that_was_best_is_tested_not_the_last(data: Omniglot) -> None:
    """Of a run whose second half ruins it: a shorter run ends at the same checkpoint."""
    recipe = MetaRecipe(lr=0.2, scales=SCALES)
    found = meta_train(data, "limit", settings=SHORT, recipe=recipe)
    assert found.best_step is not None
    until = MamlSettings(**{**vars(SHORT), "steps": found.best_step})
    again = meta_train(data, "limit", settings=until, recipe=recipe)
    assert again.test == found.test


@pytest.mark.parametrize("network", ["finite", "limit"])
def test_a_run_that_diverges_has_a_reason_and_no_score(data: Omniglot, network: str) -> None:
    known = recipe_of(network, 6)
    recipe = MetaRecipe(lr=1e300, scales=known.scales, kernel=known.kernel)
    found = meta_train(data, network, 6, settings=SHORT, recipe=recipe)
    assert found.test is None
    assert found.best_step is None
    assert "diverged" in (found.reason or "")
    assert "learning rate below 1e+300" in (found.reason or "")


def test_recipes_are_the_papers_and_the_nearest_between() -> None:
    assert recipe_of("finite", 1) == RECIPES[2]
    assert recipe_of("finite", 60) == RECIPES[32]
    assert recipe_of("finite", 100_000) == RECIPES[8192] == recipe_of("limit", None)
    assert recipe_of("ntk", None) == KERNELS["ntk"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: recipe_of("finite", 0), "from 1 to 1,000,000; got 0"),
        (lambda: recipe_of("finite", 10**9), "the limit stands for wider ones"),
        (lambda: recipe_of("finite", None), "got None"),
        (lambda: recipe_of("deep", None), "one of finite, limit, linear, gp, ntk; got 'deep'"),
        (lambda: MamlSettings(tasks=0), "tasks must be at least 1; got 0"),
        (lambda: MamlSettings(clip=float("nan")), "clip must be a number above 0; got nan"),
        (lambda: MetaRecipe(lr=-1.0), "learning rate must be a number above 0; got -1"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(LimitError, match=message):
        make()


def test_a_missing_file_is_told_with_what_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"Omniglot is not at .*none.npz; give --data FILE, a Num"):
        load_omniglot(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"X": np.zeros((24, 4, 5, 5))}, "X is float64 of shape"),
        ({"X": np.zeros((24, 4, 5, 6), dtype=np.uint8)}, r"X is uint8 of shape \(24, 4, 5, 6\)"),
        ({"X": np.zeros((24, 4, 5, 5), dtype=np.uint8)}, "96 images have no ink"),
        ({"val": np.array([0.5])}, "val is float64"),
        ({"val": np.arange(3)}, "val has 3 classes and a task takes 5"),
        ({"val": np.arange(1)}, "val has 1 class and a task takes 5"),
        ({"test": np.arange(90, 99)}, "test names a class that X does not have"),
        ({"test": np.arange(8)}, "a class stands twice"),
        ({"train": np.array([{}] * 5, dtype=object)}, "it is something else"),
    ],
)
def test_a_file_that_is_something_else_is_refused(
    tmp_path: Path, changed: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(AssetError, match=message):
        load_omniglot(tiny_omniglot.save(tmp_path / "odd.npz", **changed))


def test_a_single_blank_image_is_one(tmp_path: Path) -> None:
    images = tiny_omniglot.arrays()["X"]
    images[3, 2] = 0
    with pytest.raises(AssetError, match="1 image has no ink"):
        load_omniglot(tiny_omniglot.save(tmp_path / "odd.npz", X=images))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = tiny_omniglot.save(tmp_path / "whole.npz").read_bytes()
    middle = len(whole) // 3
    flipped = whole[:middle] + bytes(255 - b for b in whole[middle : middle + 50])
    contents = {
        "cut": whole[: len(whole) // 2],
        "flipped": flipped + whole[middle + 50 :],
        "empty": b"",
        "text": b"not an archive",
    }
    np.save(tmp_path / "single.npy", np.zeros(3))
    contents["single"] = (tmp_path / "single.npy").read_bytes()
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(AssetError, match="must be a NumPy archive"):
            load_omniglot(tmp_path / name)


def test_omniglot_in_short() -> None:
    """100 meta-steps of the limit go past the kernels, which stay where the paper has them."""
    data = tiny_omniglot.real()
    short = MamlSettings(steps=100, validation_batches=5, test_batches=40)
    limit = meta_train(data, "limit", settings=short)
    flat = MamlSettings(steps=1, validation_batches=1, test_batches=40)
    gp, ntk = (meta_train(data, name, settings=flat) for name in ("gp", "ntk"))
    assert limit.test is not None
    assert gp.test is not None
    assert ntk.test is not None
    # 1 280 tasks have a standard error of 0.006: the paper's 47.6 and 47.8, with three of them.
    assert gp.test.accuracy == pytest.approx(0.476, abs=0.018)
    assert ntk.test.accuracy == pytest.approx(0.478, abs=0.018)
    assert limit.test.accuracy > max(gp.test.accuracy, ntk.test.accuracy) + 0.01
