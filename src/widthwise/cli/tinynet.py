"""`widthwise tinynet`: small networks for a budget, in resolution, depth and width."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..errors import TargetError
from ..io import check_overwrite, new_folder
from ..tinynet import (
    FAMILIES,
    PUBLISHED,
    Baseline,
    Budget,
    Family,
    Formula,
    Kind,
    Multipliers,
    NetworkSpec,
    Proposal,
    baselines,
    family_named,
    load_weights,
    parse_budget,
    write_net,
)
from .json_output import json_option, print_json, wants_json, without
from .options import device_option, flag, is_typed, only_given, seed_option
from .prose import echo
from .tables import print_titled, print_wrapped, table_console
from .tinynet_search import search

_BUDGETS: dict[str, Kind] = {
    "flops": "macs",
    "params": "parameters",
    "size": "bytes",
    "latency": "seconds",
}
_TOLD_MISS = 0.02  # of the budget: by more, a sentence says so
family_option = click.option(
    "--family",
    default="efficientnet",
    help=f"One of {', '.join(FAMILIES)}.",
)
classes_option = click.option("--classes", type=int, default=1000, help="Number of classes.")


@click.group()
def tinynet() -> None:
    """Scale a small network to a budget, in resolution, depth and width.

    Example: widthwise tinynet formula --flops 50M
    """


tinynet.add_command(search)


@tinynet.command(short_help="Write a TinyNet, or any scaled network, as files.")
@click.argument("net")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder."
)
@family_option
@classes_option
@click.option(
    "--weights",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Weights to load, .safetensors or .pth; all names and shapes must be those of timm.",
)
@seed_option("Seed of new weights.")
@click.option("--onnx", is_flag=True, help="Also write model.onnx, checked against PyTorch.")
@click.option("--torchscript", is_flag=True, help="Also write model.torchscript.pt, checked too.")
@click.option("--force", is_flag=True, help="Replace the folder if it exists.")
@json_option
def build(
    net: str,
    out: Path,
    weights: Path | None,
    seed: int,
    *,
    onnx: bool,
    torchscript: bool,
    force: bool,
    **base: Any,
) -> None:
    """Write a network: model.safetensors, and config.json, which says what it is.

    NET is b0 (EfficientNet-B0), a, b, c, d or e (TinyNets), or three multipliers of --family's base
    with commas between them: resolution, depth, width. `widthwise.tinynet.load_net` reads the
    folder.

    Example: widthwise tinynet build e -o tinynet-e --onnx
    """
    asked = _asked(net, **base)
    if weights is not None and is_typed("seed"):
        raise click.UsageError("--seed is of new weights; with --weights there are none")
    check_overwrite(out, force=force)
    model = asked.build(seed=seed)
    source = f"new, drawn with seed {seed}"
    if weights is not None:
        load_weights(model, weights)
        source = f"from {weights.name}"
    with new_folder(out, force=force) as folder:
        differences = write_net(
            folder, asked, model, weights=source, onnx=onnx, torchscript=torchscript
        )
    _print_net(asked)
    echo(f"  weights {source}")
    for name, difference in differences.items():
        echo(f"  {name} differs from PyTorch by {difference:.1e} of the largest logit")
    echo(f"  written to {out}")
    if wants_json():
        counts = family_named(asked.family).counts(asked.scale, classes=asked.classes)
        print_json({"folder": out, **without(asked), "counts": counts, "differences": differences})


def _asked(text: str, family: str, classes: int) -> NetworkSpec:
    """The network that NET names."""
    published = PUBLISHED.get(text.lower())
    if published is not None:
        if is_typed("family"):
            raise click.UsageError(f"--family goes with multipliers; {text} is an efficientnet")
        return NetworkSpec(
            title=published.title, family=family, scale=published.scale, classes=classes
        )
    try:
        resolution, depth, width = map(float, text.split(","))
    except ValueError:
        raise TargetError(
            f"NET must be one of {', '.join(PUBLISHED)}, or resolution,depth,width as in "
            f"0.68,0.695,0.54; got {text[:40]!r}"
        ) from None
    scale = Multipliers(resolution=resolution, depth=depth, width=width)
    return NetworkSpec(title=f"{family} {text}", family=family, scale=scale, classes=classes)


def _print_net(net: NetworkSpec) -> None:
    family, scale = family_named(net.family), net.scale
    counts = family.counts(scale, classes=net.classes)
    echo(
        f"{net.title}: images of {family.resolution(scale)} px, multipliers of {family.name}: "
        f"resolution {scale.resolution:g}, depth {scale.depth:g}, width {scale.width:g}\n"
        f"  {counts.parameters:,} parameters, {counts.parameter_bytes:,} bytes, "
        f"{counts.macs:,} multiply-adds"
    )


@tinynet.command(short_help="Resolution, depth and width for a budget.")
@click.option("--flops", metavar="N", help="Multiply-adds, which the paper calls FLOPs: 50M.")
@click.option("--params", metavar="N", help="Parameters: 2.5M.")
@click.option("--size", metavar="BYTES", help="Bytes of parameters in float32: 10MB.")
@click.option("--latency", metavar="TIME", help="Time of one image on --device, measured: 5ms.")
@family_option
@classes_option
@device_option
@json_option
def formula(
    family: str,
    classes: int,
    device: str | None,
    **budgets: str | None,
) -> None:
    """Print the network of the tiny formula for a budget, and how sure the formula is of it.

    Beside it are the paper's closed form for the width, and the base shrunk by compound scaling or
    in one dimension alone. The formula is an interpolation of the five released models, not the
    authors' fit.

    Example: widthwise tinynet formula --flops 50M
    """
    budget, asked = _budget(budgets, device), family_named(family)
    fitted = Formula.from_published()
    place = _place(device) if budget.kind == "seconds" else "cpu"
    proposal = fitted.propose(asked, budget, classes=classes, device=place)
    others: tuple[Baseline, ...] = ()
    if budget.kind != "seconds":
        others = baselines(fitted, asked, budget, classes=classes)
    if wants_json():
        print_json(_as_json(fitted, proposal, others))
    else:
        _print_formula(fitted, proposal, others, asked, classes)


def _budget(texts: dict[str, str | None], device: str | None) -> Budget:
    """The one budget that was given."""
    name = only_given(texts, _BUDGETS)
    if device is not None and name != "latency":
        raise click.UsageError("--device is where --latency is measured.")
    return parse_budget(_BUDGETS[name], str(texts[name]), what=flag(name))


def _place(device: str | None) -> str:
    import torch

    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def _as_json(fitted: Formula, proposed: Proposal, others: tuple[Baseline, ...]) -> dict[str, Any]:
    """Multipliers with their intervals; what could not be made is null, with its reason."""
    proposal = asdict(proposed) | {"miss": proposed.miss}
    for name, predicted in (("resolution", proposed.resolution), ("depth", proposed.depth)):
        proposal[name] |= {"interval": predicted.interval()}
    return {
        "formula": fitted.source,
        "fitted_range": fitted.range,
        "proposal": proposal,
        "beside": [asdict(other) for other in others],
    }


def _print_formula(
    fitted: Formula,
    proposal: Proposal,
    others: tuple[Baseline, ...],
    family: Family,
    classes: int,
) -> None:
    """A table of the ways to the budget, and how sure the formula is."""

    console = table_console()
    proposed = Baseline(
        rule="tiny formula",
        scale=proposal.scale,
        pixels=proposal.pixels,
        counts=proposal.counts,
        cost=proposal.cost,
    )
    header = ["by", "images", "resolution", "depth", "width", "multiply-adds", "parameters"]
    header += ["off budget"]
    rows = [_cells(baseline, proposal.budget) for baseline in (proposed, *others)]
    title = f"{family.name} for {proposal.budget}, {classes} classes"
    print_titled(console, title, header, rows)
    for sentence in (*_sureness(fitted, proposal, family), *_notes(proposal, others)):
        print_wrapped(console, sentence)


def _cells(baseline: Baseline, budget: Budget) -> list[str]:
    if baseline.scale is None or baseline.counts is None or baseline.cost is None:
        return [baseline.rule, *["-"] * 7]
    multipliers = (baseline.scale.resolution, baseline.scale.depth, baseline.scale.width)
    return [
        baseline.rule,
        f"{baseline.pixels} px",
        *(f"{multiplier:.4g}" for multiplier in multipliers),
        f"{baseline.counts.macs:,}",
        f"{baseline.counts.parameters:,}",
        f"{100 * (baseline.cost / budget.amount - 1):+.2f} %",
    ]


def _sureness(fitted: Formula, proposal: Proposal, family: Family) -> list[str]:
    """Where the numbers come from, and how far they may be off."""
    low, high = proposal.resolution.interval()
    pixels = [f"{max(0.0, r) * family.base_resolution:.0f}" for r in (low, high)]
    least, most = fitted.range
    sentences = [
        f"The formula is {fitted.source}.",
        f"Resolution {proposal.resolution.value:.3f}, 95 % interval {max(0.0, low):.3f} to "
        f"{high:.3f} ({pixels[0]} to {pixels[1]} px); depth {proposal.depth.value:.3f}, "
        "95 % interval {:.3f} to {:.3f}.".format(*proposal.depth.interval()),
        "These intervals are as wide as needed for released models predicted from the other four.",
        f"Read at the share {proposal.share:.4f} of the base's multiply-adds, "
        f"{_beside_range(fitted, proposal.share)} the fitted range {least:.4f} to {most:.4f}.",
    ]
    if proposal.budget.kind != "macs" and abs(proposal.own_share / proposal.share - 1) > _TOLD_MISS:
        sentences.append(_off_the_curve(fitted, proposal))
    if abs(proposal.miss) > _TOLD_MISS:
        sentences.append(
            f"It costs {100 * abs(proposal.miss):.1f} % {'more' if proposal.miss > 0 else 'less'} "
            "than asked: rounded channels and blocks leave nothing nearer at this resolution "
            "and depth."
        )
    if family.name != "efficientnet":
        sentences.append(
            f"It was fitted to efficientnet; nothing shows that it holds for {family.name}."
        )
    return sentences


def _beside_range(fitted: Formula, share: float) -> str:
    least, most = fitted.range
    return "within" if least <= share <= most else "OUTSIDE, so an extrapolation, of"


def _off_the_curve(fitted: Formula, proposal: Proposal) -> str:
    """What the formula says at the network's own share, where that is not the one it was read at.

    The width is solved for the budget, whatever multiply-adds come of it.
    """
    share, scale = proposal.own_share, proposal.scale
    clauses, are_within = [], True
    for name, curve, value in (
        ("resolution", fitted.resolution, scale.resolution),
        ("depth", fitted.depth, scale.depth),
    ):
        predicted = curve(share)
        low, high = predicted.interval()
        are_within = are_within and low <= value <= high
        clauses.append(f"{name} {predicted.value:.3f}, {max(0.0, low):.3f} to {high:.3f}")
    place = _beside_range(fitted, share)
    return (
        f"The network itself has the share {share:.4f}, {place} the fitted range. There the "
        f"formula has {' and '.join(clauses)}: those of the network are "
        f"{'' if are_within else 'not '}within these 95 % intervals."
    )


def _notes(proposal: Proposal, others: tuple[Baseline, ...]) -> list[str]:
    """Why rows are empty, and how to get the network."""
    scale = proposal.scale
    net = f"{scale.resolution:g},{scale.depth:g},{scale.width:g}"
    option = "" if proposal.family == "efficientnet" else f" --family {proposal.family}"
    sentences = [f"{other.rule}: {other.reason}." for other in others if other.reason]
    if proposal.budget.kind == "seconds":
        sentences.append(
            f"Measured: {1e3 * proposal.cost:.4g} ms. Another moment may give another time."
        )
    return [*sentences, f"To write it: widthwise tinynet build {net}{option} -o DIR"]
