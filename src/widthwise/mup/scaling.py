"""One parameter at a new width: its role, and the factors that follow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Literal, get_args

from ..errors import LimitError
from ..theory import TABLES, Role, fan_power
from .axes import Axes
from .shapes import Shapes

Kind = Literal["mup", "sp", "sp-embedding"]
AskedRole = Literal["input", "hidden", "output", "vector"]
AnyRole = Literal["input", "hidden", "output", "vector", "fixed"]
Fans = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class ParameterScaling:
    """One parameter beside the same at the base width.

    Attributes:
        name: Name in `named_parameters`.
        shape, base: Shapes here and at the base width.
        role: `input` where only outputs grow (embeddings), `vector` for biases and gains that grow,
            `output` where only inputs do, `hidden` where both do, `fixed` where nothing does.
        fan_in, fan_out: Fans over those of the base; 1 where nothing grows.
        std: Factor of the initial standard deviation.
        adam, sgd: Factors of the learning rate.
        eps: Factor of Adam's epsilon, which is that of the gradient.
    """

    name: str
    shape: tuple[int, ...]
    base: tuple[int, ...]
    role: AnyRole
    fan_in: float
    fan_out: float
    std: float
    adam: float
    sgd: float
    eps: float = field(default=1.0, metadata={"added_later": True})

    def absorbing(self, factor: float) -> ParameterScaling:
        """The same with a multiplier of the forward pass in it (TP4b, Lemma J.1).

        What was `factor` times the parameter is then the parameter: exact for every optimizer.
        """
        return replace(
            self,
            std=self.std * factor,
            adam=self.adam * factor,
            sgd=self.sgd * factor**2,
            eps=self.eps / factor,
        )

    @property
    def is_vector(self) -> bool:
        """Whether it is a gain, a bias or the like, which weight decay usually leaves out."""
        return self.role == "vector" or len(self.shape) < 2


def compare(
    model: Shapes,
    base: Shapes,
    delta: Shapes,
    kind: Kind,
    roles: Mapping[str, AskedRole],
    *,
    is_deeper: bool = False,
) -> tuple[ParameterScaling, ...]:
    """All parameters of the model, each beside that of the base.

    Args:
        roles: Roles of parameters that grow, by patterns of their names; the last that fits counts.
        is_deeper: Whether the model has more layers than the base, so that widths may be the same.

    Raises:
        LimitError: Their names or numbers of dimensions differ, nothing grows, a size differs that
            base and delta share, a parameter grows in a way that no table has, what it does is not
            known, or a role is none or fits no name.
    """
    names = model.sizes
    for other, what in ((base, "base"), (delta, "delta")):
        _check_names(names, {n: s for n, s in other.sizes.items() if n not in model.shared}, what)
    _check_roles(roles, names)
    weights = []
    for name, shape in names.items():
        at_base, at_delta = base.sizes[name], delta.sizes[name]
        _check_sizes(name, shape, at_base, at_delta)
        growth = _Growth(name, shape, at_base, at_delta)
        asked = [role for pattern, role in roles.items() if fnmatchcase(name, pattern)]
        role, fans = growth.asked(asked[-1]) if asked else growth.read(model.axes[name])
        scale = 1.0
        if role != "fixed" and kind == "mup":
            scale = _scale_ratio(name, model.embedding_scales, base.embedding_scales)
        std, adam, sgd, eps = _factors(role, fans, kind)
        weights.append(
            ParameterScaling(
                name=name, shape=shape, base=at_base, role=role, fan_in=fans[0], fan_out=fans[1],
                std=std / scale, adam=adam / scale, sgd=sgd / scale**2, eps=eps * scale,
            )
        )  # fmt: skip
    if not is_deeper and all(weight.role == "fixed" for weight in weights):
        raise LimitError(
            "base must differ in width from delta, or from the model where there is no delta, for "
            "it to be seen what grows; all shapes are the same: give delta=, a network of another "
            "width"
        )
    return tuple(weights)


def _check_roles(roles: Mapping[str, AskedRole], names: Mapping[str, object]) -> None:
    for pattern, role in roles.items():
        if role not in get_args(AskedRole):
            raise LimitError(
                f"a role must be one of {', '.join(get_args(AskedRole))}; got {role!r} of {pattern}"
            )
        if not any(fnmatchcase(name, pattern) for name in names):
            raise LimitError(f"{pattern} must fit the name of a parameter; it fits none")


def _check_names(model: Mapping[str, object], other: Mapping[str, object], what: str) -> None:
    for missing, here, there in (
        (set(model) - set(other), "the model", what),
        (set(other) - set(model), what, "the model"),
    ):
        if missing:
            raise LimitError(
                f"{what} must have the parameters of the model; {min(missing)} is in {here} and "
                f"not in {there}, one of {len(missing)} such: change nothing but widths"
            )


def _check_sizes(
    name: str, shape: tuple[int, ...], base: tuple[int, ...], delta: tuple[int, ...]
) -> None:
    if not len(shape) == len(base) == len(delta):
        raise LimitError(
            f"{name} must have as many dimensions at all widths; got shapes {shape}, {base} in "
            f"base and {delta} in delta"
        )
    for size, at_base, at_delta in zip(shape, base, delta, strict=True):
        if at_base == at_delta != size:
            raise LimitError(
                f"{name} has a size of {size} in the model, and {at_base} in both base and delta: "
                "let delta differ from base in everything that grows"
            )


@dataclass(frozen=True)
class _Growth:
    """One parameter's dimensions at three widths."""

    name: str
    shape: tuple[int, ...]
    base: tuple[int, ...]
    delta: tuple[int, ...]

    @property
    def grown(self) -> list[int]:
        """Dimensions that grow."""
        sizes = zip(self.base, self.delta, strict=True)
        return [i for i, (x, y) in enumerate(sizes) if x != y]

    @property
    def _pattern(self) -> str:
        """One that fits it, and the same of other layers."""
        _, dot, last = self.name.rpartition(".")
        return f"*.{last}" if dot else last

    def ratio(self, dimensions: Sequence[int]) -> float:
        """How many times as large these are, all together."""
        return math.prod(self.shape[i] / self.base[i] for i in dimensions)

    def asked(self, role: AskedRole) -> tuple[AnyRole, Fans]:
        """The fans where the role is said."""
        grown = self.grown
        if not grown:
            return "fixed", (1.0, 1.0)
        if role == "output":
            return role, (self.ratio(grown), 1.0)
        if role != "hidden":
            return role, (1.0, self.ratio(grown))
        if len(grown) != 2:
            raise LimitError(
                f"a hidden weight grows along two dimensions, and {self.name} of shape "
                f"{self.shape} along {len(grown)}"
            )
        return role, (self.ratio(grown[1:]), self.ratio(grown[:1]))

    def read(self, axes: Axes) -> tuple[AnyRole, Fans]:
        """The role and the fans where the axes say them."""
        grown = self.grown
        if not grown:
            return "fixed", (1.0, 1.0)
        if axes.use == "vector":
            return "vector", (1.0, self.ratio(grown))
        if axes.use == "table":
            self._refuse_others(grown, (len(self.shape) - 1,), "rows of embeddings must stay")
            return "input", (1.0, self.ratio(grown))
        if axes.use == "matrix":
            return self._of_matrix(grown, axes)
        if axes.use == "recurrent":
            raise LimitError(
                f"{self.name} sets how a state decays, and muP is known to fail for state-space "
                f"layers (Vankadara et al., NeurIPS 2024): keep their sizes at all widths, or say "
                f"with roles={{{self._pattern!r}: 'vector'}} (--roles {self._pattern}=vector) that "
                "it is to be treated as a gain"
            )
        if len(grown) == 2 and self.ratio(grown[:1]) == self.ratio(grown[1:]):
            return "hidden", (self.ratio(grown[1:]), self.ratio(grown[:1]))
        raise LimitError(
            f"{self.name} of shape {self.shape} is in no layer of torch, and nothing says what it "
            f"is: give roles={{{self._pattern!r}: ...}}, `input` for a table whose rows are "
            "added or looked up, `output` or `hidden` for a matrix, `vector` for gains and biases"
        )

    def _of_matrix(self, grown: list[int], axes: Axes) -> tuple[AnyRole, Fans]:
        ends = axes.inputs, axes.outputs
        self._refuse_others(grown, ends, "only inputs and outputs can")
        roles: dict[tuple[bool, bool], AnyRole] = {
            (False, True): "input",
            (True, False): "output",
            (True, True): "hidden",
        }
        fans = self.ratio([axes.inputs]), self.ratio([axes.outputs])
        return roles[axes.inputs in grown, axes.outputs in grown], fans

    def _refuse_others(self, grown: Sequence[int], ends: tuple[int, ...], why: str) -> None:
        if odd := [i for i in grown if i not in ends]:
            raise LimitError(
                f"{self.name} of shape {self.shape} grows along its dimension {odd[0] + 1}, where "
                f"base has {self.base[odd[0]]}; {why}: change nothing but widths"
            )


def _scale_ratio(
    name: str, model: Mapping[str, float | None], base: Mapping[str, float | None]
) -> float:
    """What an embedding multiplies its rows by, over the same at the base width."""
    here, there = model.get(name, 1.0), base.get(name, 1.0)
    if here is None or there is None:
        raise LimitError(
            f"{name} is multiplied by a scale that cannot be read: give a model with weights, not "
            "one on the meta device"
        )
    return here / there


def _factors(role: AnyRole, fans: Fans, kind: Kind) -> tuple[float, float, float, float]:
    """Factors of the initial deviation, of Adam's and SGD's learning rates (Table 3), and of eps.

    SGD's rate of hidden weights is 1 for square ones, else fan-out over fan-in. The gradient of an
    output goes as 1 over the number of outputs, where that grows.
    """
    fan_in, fan_out = fans
    if role == "fixed":
        return 1.0, 1.0, 1.0, 1.0
    if kind != "mup":
        faster = fan_out if kind == "sp-embedding" and role == "input" else 1.0
        return fan_in**-0.5, faster, 1.0, 1.0
    of_table: Role = "input" if role == "vector" else role
    rule = TABLES[3][of_table]
    sgd = fan_out / fan_in if role == "hidden" else fan_power(rule.sgd, *fans)
    std = math.sqrt(fan_power(rule.variance, *fans))
    return std, fan_power(rule.adam, *fans), sgd, 1 / fan_out
