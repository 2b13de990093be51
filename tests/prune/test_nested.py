"""One model at every width: what `at` shows is what `apply` cuts, and the parent is never lost."""

from __future__ import annotations

import copy
import weakref
from typing import Any

import pytest
import torch
from families import FAMILIES, FUSED, LAYERS, WIDTH, tiny, tokens
from nested_models import KEPT, assert_untouched, bits, sizes
from torch.utils._python_dispatch import TorchDispatchMode

from widthwise import Nested, activation_norms, apply, make_plan
from widthwise.errors import CheckpointError, PlanError, TargetError, UnsupportedModelError
from widthwise.prune import CRITERIA


@pytest.mark.parametrize("family", FAMILIES)
def test_every_width_equals_the_applied_plan(family: str) -> None:
    model = tiny(family)
    before, stated = bits(model), sizes(model)
    cuts = {
        k: apply(model, make_plan(model, width=k, criterion="ppm")) for k in (1, KEPT, WIDTH - 1)
    }
    with torch.no_grad(), Nested(model) as nested:
        nested.sort("ppm")
        with nested.at(WIDTH):
            pass  # the dense model in between leaves the sort as it was
        for width, cut in cuts.items():
            expected = cut(tokens()).logits
            with nested.at(width) as narrow:
                assert narrow is model
                assert sizes(model) == sizes(cut)
                got = model(tokens()).logits
            # Up to 53 terms of a sum stand in another order, in each of 3 layers: rounding of
            # 53 * 2^-24 a layer, of the size of what is summed.
            tolerance = LAYERS * WIDTH * 2.0**-24 * expected.abs().max().item()
            torch.testing.assert_close(got, expected, rtol=0, atol=tolerance)
            assert sizes(model) == stated
    assert_untouched(model, before)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_plan_of_every_width_is_that_of_make_plan(criterion: str) -> None:
    model = tiny("llama")
    with torch.no_grad():  # ties: half of the neurons score alike
        for layer in model.model.layers:
            layer.mlp.gate_proj.weight[::2] = layer.mlp.gate_proj.weight[0].clone()
            layer.mlp.up_proj.weight[::2] = layer.mlp.up_proj.weight[0].clone()
    norms = activation_norms(model, [{"input_ids": tokens()}])
    norms = norms if criterion == "ppm_activation" else None
    options: dict[str, Any] = {"criterion": criterion, "seed": 5, "activation_norms": norms}
    parent = copy.deepcopy(model)
    with Nested(model) as nested:
        nested.sort("max_abs")  # the order that stands must not decide ties
        nested.sort(**options)
        for width in range(1, WIDTH):
            assert nested.plan(width) == make_plan(parent, width=width, align=1, **options)


@pytest.mark.parametrize("family", ["llama", *FUSED])
def test_the_neurons_shown_are_those_of_the_plan(family: str) -> None:
    """Bit for bit, by a sort made here: summation order cannot hide a wrong neuron."""
    model = tiny(family, **({"mlp_bias": True} if family == "llama" else {}))
    parent = copy.deepcopy(model)
    with Nested(model) as nested:
        nested.sort("random", seed=3)
        plan = nested.plan(KEPT)
        cut = dict(apply(parent, plan).named_parameters())
        # the places of the kept neurons in the order of their index
        scores = [torch.rand(WIDTH, generator=_stream(3, i)) for i in range(LAYERS)]
        ranks = [s.argsort(descending=True, stable=True)[:KEPT].argsort() for s in scores]
        with nested.at(KEPT):
            for name, value in model.named_parameters():
                if ".mlp." in name and "down_proj.bias" not in name:
                    rank = ranks[int(name.split(".")[2])]
                    parts = torch.cat([rank, rank + KEPT]) if "gate_up" in name else rank
                    value = value[:, rank] if "down_proj" in name else value[parts]
                assert torch.equal(value, cut[name]), name


def _stream(seed: int, layer: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed * 1_000_003 + layer)


@pytest.mark.parametrize("family", ["llama", "qwen3", *FUSED])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_dense_model_comes_back_to_the_bit(family: str, dtype: torch.dtype) -> None:
    model = tiny(family).to(dtype)
    before, parameters = bits(model), list(model.parameters())
    with torch.no_grad():
        logits = model(tokens()).logits
        with Nested(model) as nested:
            for criterion in ("ppm", "random", "vow"):
                nested.sort(criterion)
                assert not all(torch.equal(v, before[n]) for n, v in model.named_parameters())
                for width in (40, 7, WIDTH, 52):
                    with nested.at(width):
                        if width == WIDTH:
                            assert_untouched(model, before)
                            assert torch.equal(model(tokens()).logits, logits)
    assert_untouched(model, before)
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_width_lies_in_the_memory_of_the_parent(family: str) -> None:
    model = tiny(family)
    memory = {n: (p.untyped_storage().data_ptr(), p.data_ptr()) for n, p in _named(model)}
    with Nested(model) as nested:
        nested.sort()
        for width in (KEPT, 3):
            with nested.at(width):
                for name, value in _named(model):
                    assert (value.untyped_storage().data_ptr(), value.data_ptr()) == memory[name]
                    if ".mlp." in name and "bias" not in name:
                        assert width in value.shape or 2 * width in value.shape, name
    assert {n: (p.untyped_storage().data_ptr(), p.data_ptr()) for n, p in _named(model)} == memory


def _named(model: Any) -> list[tuple[str, torch.Tensor]]:
    return list(model.named_parameters())


class NewMemory(TorchDispatchMode):
    """Most bytes that were alive at a time in tensors made since, the model's own left out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.own = {p.untyped_storage().data_ptr() for p in model.parameters()}
        self.alive: list[Any] = []
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        made = result if isinstance(result, tuple) else (result,)
        self.alive += [weakref.ref(t) for t in made if isinstance(t, torch.Tensor)]
        self.peak = max(self.peak, self.bytes_now())
        return result

    def bytes_now(self) -> int:
        tensors = [t for t in (ref() for ref in self.alive) if t is not None]
        storages = [t.untyped_storage() for t in tensors]
        return sum(
            {s.data_ptr(): s.nbytes() for s in storages if s.data_ptr() not in self.own}.values()
        )


@pytest.mark.parametrize("family", ["llama", *FUSED])
def test_memory_beyond_the_parent_is_one_tensor(family: str) -> None:
    model = tiny(family)
    largest = max(p.nbytes for n, p in _named(model) if ".mlp." in n)
    order = 8 * WIDTH  # bytes of one layer's order
    with Nested(model) as nested, NewMemory(model) as memory:
        nested.sort("random")  # its scores need no weights, so nothing but moving is counted
        # At most the layers' orders and scores, and indices of one move, beside the tensor.
        assert memory.peak <= largest + (2 * LAYERS + 8) * order
        kept_after_sort = memory.bytes_now()
        for width in (KEPT, 3, WIDTH - 1):
            memory.peak = 0
            with nested.at(width):
                assert memory.bytes_now() == kept_after_sort
            rolled = largest // 2 if family in FUSED else 0
            assert memory.peak <= kept_after_sort + rolled
    assert kept_after_sort <= (LAYERS + 1) * order


def test_sorting_again_needs_no_reload(llama: Any) -> None:
    parent = copy.deepcopy(llama)
    with torch.no_grad(), Nested(llama) as nested:
        for criterion, seed in (("ppm", 0), ("random", 0), ("random", 1), ("l2", 0)):
            nested.sort(criterion, seed)
            plan = make_plan(parent, width=KEPT, criterion=criterion, seed=seed, align=1)
            expected = apply(parent, plan)(tokens()).logits
            with nested.at(KEPT):
                got = llama(tokens()).logits
            # as in test_every_width_equals_the_applied_plan
            tolerance = LAYERS * WIDTH * 2.0**-24 * expected.abs().max().item()
            torch.testing.assert_close(got, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("family", ["llama", *FUSED])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_inside_leaves_the_dense_model(
    family: str, error: type[BaseException]
) -> None:
    model = tiny(family)
    before, stated = bits(model), sizes(model)

    def use() -> None:
        with Nested(model) as nested:
            nested.sort()
            with nested.at(KEPT):
                raise error("mine")

    with pytest.raises(error, match="mine"):
        use()
    assert_untouched(model, before)
    assert sizes(model) == stated


@pytest.mark.parametrize("family", ["llama", *FUSED])
def test_a_cut_that_fails_half_way_is_undone(family: str, monkeypatch: Any) -> None:
    from widthwise.prune import nested as module

    model = tiny(family)
    before, stated = bits(model), sizes(model)
    real, calls = module._bring_up, [0]

    def failing(*args: Any, **options: Any) -> None:
        calls[0] += 1
        if calls[0] == 4:
            raise MemoryError("no room")
        real(*args, **options)

    with Nested(model) as nested:
        nested.sort()
        monkeypatch.setattr(module, "_bring_up", failing)
        with pytest.raises(MemoryError), nested.at(KEPT):
            pass
        assert sizes(model) == stated
        with nested.at(KEPT):  # and it goes on
            assert model.config.intermediate_size == KEPT
    assert_untouched(model, before)


def test_a_sort_that_fails_leaves_the_dense_order(llama: Any) -> None:
    before = bits(llama)
    with Nested(llama) as nested:
        nested.sort("ppm")
        with pytest.raises(PlanError, match="ppm_activation needs activation norms"):
            nested.sort("ppm_activation")
        assert_untouched(llama, before)
        with pytest.raises(PlanError, match="must be sorted before"):
            nested.plan(KEPT)


def test_training_inside_trains_the_parent(llama: Any) -> None:
    """Kept neurons move, each in its own place; the others and the dense gradients do not."""
    before = bits(llama)
    llama.model.layers[1].mlp.up_proj.weight.requires_grad_(False)
    with Nested(llama) as nested:
        nested.sort()
        keep = nested.plan(KEPT).keep
        with nested.at(KEPT):
            assert not llama.model.layers[1].mlp.up_proj.weight.requires_grad
            optimizer = torch.optim.SGD(llama.model.layers[0].mlp.parameters(), lr=0.1)
            llama(tokens(), labels=tokens()).loss.backward()
            optimizer.step()
    mlp = llama.model.layers[0].mlp
    moved = (mlp.gate_proj.weight != before["model.layers.0.mlp.gate_proj.weight"]).any(dim=1)
    assert tuple(moved.nonzero()[:, 0].tolist()) == keep[0]
    moved = (mlp.down_proj.weight != before["model.layers.0.mlp.down_proj.weight"]).any(dim=0)
    assert tuple(moved.nonzero()[:, 0].tolist()) == keep[0]
    assert mlp.gate_proj.weight.grad is None


def test_a_width_can_be_saved(llama: Any, tmp_path: Any) -> None:
    with torch.no_grad(), Nested(llama) as nested:
        nested.sort()
        with nested.at(KEPT):
            llama.save_pretrained(tmp_path)
            expected = llama(tokens()).logits
    again = type(llama).from_pretrained(tmp_path)
    # The same numbers in the same order; a strided and a packed matrix may be added in other
    # blocks: rounding as in test_every_width_equals_the_applied_plan.
    tolerance = LAYERS * WIDTH * 2.0**-24 * expected.abs().max().item()
    torch.testing.assert_close(again(tokens()).logits, expected, rtol=0, atol=tolerance)


def test_inference_mode_is_no_trouble(llama: Any) -> None:
    before = bits(llama)
    with Nested(llama) as nested:
        with torch.inference_mode():
            nested.sort()
            with nested.at(KEPT):
                llama(tokens())
        with nested.at(KEPT):
            llama(tokens(), labels=tokens()).loss.backward()
    assert_untouched(llama, before)


@pytest.mark.parametrize("width", [0, -1, WIDTH + 1, 3.5, "wide", True, None])
def test_a_wrong_width_is_refused_and_changes_nothing(llama: Any, width: Any) -> None:
    with Nested(llama) as nested:
        nested.sort()
        before = bits(llama)
        with pytest.raises(TargetError, match=r"--width"), nested.at(width):
            pass
        assert_untouched(llama, before)
        with nested.at(1):
            assert llama.config.intermediate_size == 1


def test_wrong_turns_are_named(llama: Any) -> None:
    nested = Nested(llama)
    with pytest.raises(PlanError, match=r"call sort\(criterion\)"), nested.at(KEPT):
        pass
    with pytest.raises(PlanError, match="criterion must be one of ppm"):
        nested.sort("loudness")
    nested.sort()
    with nested.at(KEPT):
        with pytest.raises(
            PlanError, match="its full width to take a width, but it is at width 29"
        ):
            nested.at(7).__enter__()
        with pytest.raises(PlanError, match="full width to sort"):
            nested.sort("l2")
        with pytest.raises(PlanError, match="its full width to close"):
            nested.close()
        assert llama.config.intermediate_size == KEPT
    nested.close()
    nested.close()
    for use in (nested.sort, lambda: nested.plan(7), nested.at(7).__enter__, nested.__enter__):
        with pytest.raises(PlanError, match="this Nested is closed"):
            use()


def test_models_that_cannot_be_cut_are_refused_before_anything_moves() -> None:
    with torch.device("meta"):
        empty = tiny("llama")
    with pytest.raises(UnsupportedModelError, match="holds no data"):
        Nested(empty)
    broken = tiny("llama")
    with torch.no_grad():
        broken.model.layers[2].mlp.down_proj.weight[0, 0] = float("nan")
    with pytest.raises(CheckpointError, match=r"layers\.2\.mlp\.down_proj\.weight holds NaN"):
        Nested(broken)
