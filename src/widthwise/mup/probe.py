"""A tiny real network of a model's class, on which it is seen what its parameters do.

What multipliers may be absorbed into is looked up by names, and then tried: a factor is exact where
the tiny network computes what it should.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import LimitError
from .layer_names import layer_pattern, split_layer
from .model_widths import NetworkFamily
from .module_source import starts_at_zero
from .recorded import recorded_outputs

if TYPE_CHECKING:
    from torch import Tensor, nn

_WIDTH, _VOCABULARY, _CLOSE = 32, 64, 1e-4
_QUERIES = ("q_proj", "query", "q_lin", "q", "wq", "q_b_proj")
_QUERY_NORMS = ("q_norm", "q_layernorm", "query_norm")
_ENDS = (
    *("o_proj", "out_proj", "c_proj", "dense", "wo", "out_lin", "output_linear", "o"),
    *("down_proj", "fc2", "fc_out", "w2", "lin2", "dense_4h_to_h", "Wo", "linear_2"),
)
_BARE_ENDS = ("experts.down_proj", "experts.down_proj_bias")  # parameters of no module of their own
_END_NORMS = (  # a row a way of families
    ("post_attention_layernorm", "post_feedforward_layernorm", "post_mlp_layernorm"),
    ("post_self_attn_layernorm", "post_mlp_layernorm"),
    ("post_norm1", "post_norm2"),
)
_DEPTHS = (1, 2, 4, 8)


@dataclass(frozen=True, eq=False)
class Probe:
    """A tiny network of the class of a language model of transformers, with random weights.

    Attributes:
        model: The model that it is of, which may be on the meta device.
    """

    model: Any

    @cached_property
    def network(self) -> Any:
        """The tiny network, which has a layer of each kind.

        Raises:
            LimitError: There is none of this class.
        """
        from transformers import PreTrainedModel

        model = getattr(self.model, "_orig_mod", self.model)  # within torch.compile
        if not isinstance(model, PreTrainedModel):
            raise LimitError("it is no model of transformers")
        wanted = {layer_pattern(name) for name, _ in model.named_parameters()}
        for layers in _DEPTHS:
            network = self._built(model, layers)
            if wanted <= {layer_pattern(name) for name, _ in network.named_parameters()}:
                return network
        missing = wanted - {layer_pattern(name) for name, _ in network.named_parameters()}
        raise LimitError(f"tiny networks of its class have no {min(missing)}")

    @cached_property
    def _modules(self) -> dict[str, nn.Module]:
        return dict(self.network.named_modules())

    @staticmethod
    def _built(model: Any, layers: int) -> Any:
        import torch

        config: Any = model.config
        small = NetworkFamily(config=config, layers=layers, vocabulary=_VOCABULARY).at(_WIDTH)
        build: Any = type(model)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            try:
                network = build._from_config(small, dtype=torch.float32).eval()
            except Exception as error:  # classes raise errors of many kinds
                raise LimitError(f"no tiny network of its class can be built: {error}") from error
            for parameter in network.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(std=0.2)
        return network

    def run(self, **extra: Any) -> tuple[Any, dict[str, Tensor]]:
        """Outputs of the tiny network and of its layers on a few tokens.

        Raises:
            LimitError: It does not run.
        """
        import torch

        tokens = torch.arange(8)[None] + 3
        with recorded_outputs(self.network) as outputs, torch.no_grad():
            try:
                result = self.network(input_ids=tokens, use_cache=False, **extra)
            except Exception as error:  # as above
                raise LimitError(f"a tiny network of its class does not run: {error}") from error
        return result, outputs

    def norm_before(self, head: str) -> str:
        """Path of the norm whose output a head is given.

        Raises:
            LimitError: It is given something else.
        """
        given: list[Tensor] = []
        module = self._modules.get(head)
        if module is None:
            raise LimitError(f"a tiny network has no {head}")
        handle = module.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
        try:
            _, outputs = self.run()
        finally:
            handle.remove()
        norms = [path for path, part in self._modules.items() if _is_norm(part)]
        for path in reversed(norms):
            output = outputs.get(path)
            if output is not None and output.shape == given[-1].shape and output.equal(given[-1]):
                return path
        raise LimitError(f"what {head} is given is not the output of a norm")

    def query_factor(self, attention: str) -> str:
        """Path, with `*` for the layer, of a module that the logits of attention are linear in.

        The projection of queries, or the gain of the norm behind it.

        Raises:
            LimitError: There is none.
        """
        same = [path for path in self._modules if layer_pattern(path) == layer_pattern(attention)]
        for names in (_QUERY_NORMS, _QUERIES):
            for name in names:
                parts = [f"{path}.{name}" for path in same if f"{path}.{name}" in self._modules]
                if parts and self._scales_logits(parts, same):
                    return layer_pattern(parts[0])
        raise LimitError("its queries have no projection of their own")

    def _scales_logits(self, parts: Sequence[str], attention: Sequence[str]) -> bool:
        _, before = self.run()
        names = [name for part in parts for name in self._names(part)]
        with self.scaled(dict.fromkeys(names, 0.5)):
            _, after = self.run()
        # Later layers get other inputs; the first one shows it.
        name = f"{attention[0]} (logits)"
        return name in before and _close(after[name], before[name] * 0.5)

    def branch_ends(self) -> list[str]:
        """Parameters, with `*` for the layer, that what a layer adds to the stream is linear in.

        Raises:
            LimitError: Those that are known by name are not all there is.
        """
        paths = [path for path in self._modules if split_layer(path)]
        bare = [n for n, _ in self.network.named_parameters() if n.endswith(_BARE_ENDS)]
        for names, more in (*((norms, []) for norms in _END_NORMS), (_ENDS, bare)):
            ends = [self._names(path) for path in paths if path.rpartition(".")[2] in names]
            owners = dict.fromkeys(name.rpartition(".")[0] for name in more)
            ends += [[name for name in more if name.startswith(owner)] for owner in owners]
            if ends and self._are_ends(ends):
                return list(dict.fromkeys(layer_pattern(name) for end in ends for name in end))
        raise LimitError(
            "which of its parameters end a branch of the residual stream is not known; depth is "
            "supported where o_proj, down_proj and their like, or the norms behind them, do"
        )

    def _names(self, path: str) -> list[str]:
        """Parameters of a module."""
        module = self._modules[path]
        return [f"{path}.{name}" for name, _ in module.named_parameters(recurse=False)]

    def _are_ends(self, ends: Sequence[Sequence[str]]) -> bool:
        """Whether each is linear in what is added while all others are 0, and nothing else adds."""
        nothing = dict.fromkeys((name for end in ends for name in end), 0.0)
        if not _close(self._added(nothing), 0):
            return False
        for end in ends:
            whole, half = (self._added(nothing | dict.fromkeys(end, by)) for by in (1.0, 0.5))
            if not (whole.abs().max() > _CLOSE and _close(half, whole * 0.5)):
                return False
        return True

    def _added(self, scales: Mapping[str, float]) -> Tensor:
        """What all layers add to the stream."""
        with self.scaled(scales):
            states = self.run(output_hidden_states=True)[0].hidden_states
            head = self.network.get_output_embeddings()
            last: list[Tensor] = []
            path = next(path for path, part in self._modules.items() if part is head)
            norm = self._modules[self.norm_before(path)]
            handle = norm.register_forward_pre_hook(lambda _, inputs: last.append(inputs[0]))
            try:
                self.run()
            finally:
                handle.remove()
        added: Tensor = last[-1] - states[0]
        return added

    @contextmanager
    def scaled(self, scales: Mapping[str, float]) -> Iterator[None]:
        """While open, parameters of the tiny network are multiplied; gains that 1 is added to,
        with it."""
        import torch

        parameters = dict(self.network.named_parameters())
        kept = {name: parameters[name].clone() for name in scales}
        with torch.no_grad():
            for name, by in scales.items():
                one = float(starts_at_zero(self._modules[name.rpartition(".")[0]]))
                parameters[name].copy_((kept[name] + one) * by - one)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, values in kept.items():
                    parameters[name].copy_(values)


def _is_norm(module: nn.Module) -> bool:
    own = list(module.parameters(recurse=False))
    return bool(own) and all(parameter.ndim == 1 for parameter in own)


def _close(found: Tensor, wanted: Any) -> bool:
    import torch

    wanted = torch.as_tensor(wanted, dtype=found.dtype).expand_as(found)
    size = float(wanted.abs().max())
    return bool((found - wanted).abs().max() <= _CLOSE * max(size, 1.0))
