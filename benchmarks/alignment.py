"""What a width that hardware does not like costs: Llama-3.2's shapes at 7373 and its neighbours.

The paper cuts 8192 neurons by 10 % to 7373, an odd number. The multiples of 4, 8, 16, 64 and 128
just below and above do nearly the same work, so they should take nearly the same time. Timed are a
GLU block alone and the whole model, on prompts and on the tokens that follow; weights are random,
and the models share all of them but those of the GLU blocks. All widths are held at once and take
turns in an order of chance; a ratio is formed within a round.

    python benchmarks/alignment.py                  # about 10 minutes on 2 cores
    python benchmarks/alignment.py --shape 1b --layers 1 --workload 16x4      # a trial
    python benchmarks/alignment.py --device cuda -o alignment.json

A time is told beside the FLOPs that it took (of a block they go with the width): in per cent more a
FLOP than the median of the widths 7296, 7360 and 7424, which are multiples of 64 (and so stay near
0 themselves). Intervals are of rounds in one process: repeat the run before you trust 1 %.

A shape whose widths do not fit into memory together gets fewer layers, and the output says so. With
very few of them, weights are read from the processor's caches, as those of a whole model are not.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from prune import COMMON, SHAPES
from scoring_backends import Result, write

from widthwise import measure
from widthwise.arch import decode_traffic, prefill_traffic
from widthwise.cli.main import _bound_busy_waiting, _keep_freed_memory
from widthwise.cut import ModelWeights
from widthwise.errors import RunError
from widthwise.io import free_bytes
from widthwise.stats import Estimate, paired_ratio
from widthwise.study import neighbour_widths

DENSE, ODD = 8192, 7373
WIDTHS = (DENSE, *neighbour_widths(ODD))
ALIGNED = tuple(width for width in neighbour_widths(ODD) if width % 64 == 0)
CONTEXT = 131_072
UNIFORM = 0.035  # of uniform weights; their standard deviation is then 0.02
SHARE = 0.8  # of free memory for weights
WORKLOADS = {"cpu": "256x4,32x4x8", "cuda": "512x32,512x32x8,2048x8x8"}
QUANTITIES = ("block_prefill", "block_decode", "first_token", "next_token")


def layers_that_fit(shape: str, device: str, dtype: str) -> int:
    """How many layers can be held at all widths at once, with shared attention and embedding."""
    import torch

    sizes = COMMON | SHAPES[shape]
    hidden, heads = sizes["hidden_size"], sizes["num_attention_heads"]
    layer = 3 * hidden * sum(WIDTHS)
    layer += 2 * hidden * sizes["head_dim"] * (heads + sizes["num_key_value_heads"])
    numbers = int(SHARE * free_bytes(device)) // getattr(torch, dtype).itemsize
    layers = (numbers - sizes["vocab_size"] * hidden) // layer
    if layers < 1:
        raise click.ClickException(f"a layer of the {shape} shape does not fit into memory")
    return min(layers, sizes["num_hidden_layers"])


def models_of(shape: str, layers: int, device: str, dtype: str) -> dict[str, Any]:
    """A model of random weights for each width; all but the GLU blocks' are the same tensors."""
    import torch

    generator = torch.Generator(device).manual_seed(0)
    shared: dict[str, torch.Tensor] = {}

    def drawn(like: torch.Tensor) -> torch.Tensor:
        weight = torch.empty(like.shape, device=device, dtype=like.dtype)
        if like.ndim == 1:  # of a norm
            return weight.fill_(1)
        return weight.uniform_(-UNIFORM, UNIFORM, generator=generator)

    models = {}
    for width in WIDTHS:
        model = empty_model(shape, layers, width, dtype)
        own = {name: p for name, p in model.named_parameters() if ".mlp." in name}
        for name, parameter in model.named_parameters():
            if name not in own and name not in shared:
                shared[name] = drawn(parameter)
        shared["lm_head.weight"] = shared["model.embed_tokens.weight"]
        model.load_state_dict(shared | {n: drawn(p) for n, p in own.items()}, assign=True)
        model.tie_weights()
        rotary: Any = type(model.model.rotary_emb)  # its frequencies are in no state
        model.model.rotary_emb = rotary(model.config).to(device)
        models[str(width)] = model.eval()
    return models


def empty_model(shape: str, layers: int, width: int, dtype: str) -> Any:
    """Without data, on the meta device."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    sizes = COMMON | SHAPES[shape] | {"num_hidden_layers": layers, "intermediate_size": width}
    sizes |= {"tie_word_embeddings": True, "max_position_embeddings": CONTEXT}
    config = LlamaConfig(**sizes)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))


def timed(
    models: Mapping[str, Any], work: measure.Workload, rounds: int, seed: int
) -> dict[str, list[tuple[float, ...]]]:
    """By quantity and then by width: seconds of each round; none where it could not be measured."""
    steps = 2 * len(models) * (rounds + 1)
    with click.progressbar(length=steps, label=work.name, file=sys.stderr) as bar:

        def on_step(_: int) -> None:
            bar.update(1)

        costs = measure.measure_costs(models, [work], rounds=rounds, seed=seed, on_step=on_step)
        setting = costs[0].setting
        with measure.applied(setting, models.values()):
            blocks = measure.measure_blocks(models, work, rounds=rounds, seed=seed, on_step=on_step)
    for reason in filter(None, (cost.reason for cost in (*blocks, *costs))):
        click.echo(f"width {reason}")
    threads = f"{setting.threads} thread{'s' if setting.threads != 1 else ''}"
    click.echo(f"{work.name}: attention {setting.attention}, {threads}, steps {costs[0].decoding}")
    return {
        "block_prefill": [block.prefill_sec for block in blocks],
        "block_decode": [block.decode_sec for block in blocks],
        "first_token": [tuple(r.first_sec for r in cost.rounds) for cost in costs],
        "next_token": [
            tuple(r.next_sec for r in cost.rounds if r.next_sec is not None) for cost in costs
        ],
    }


def flops_of(model: Any, work: measure.Workload) -> dict[str, int]:
    """By quantity; of a block the width, which its FLOPs are a fixed multiple of."""
    architecture = ModelWeights(model).architecture
    rows, length = work.batches[0]
    steps = max(1, work.new_tokens - 1)
    return {
        "block_prefill": architecture.intermediate_size,
        "block_decode": architecture.intermediate_size,
        "first_token": prefill_traffic(architecture, batch=rows, prompt_tokens=length).flops,
        "next_token": decode_traffic(architecture, batch=rows, context=length, steps=steps).flops,
    }


def excess(
    seconds: Sequence[Sequence[float]], flops: Sequence[int], seed: int
) -> list[Estimate | None]:
    """Of each width: time a FLOP over its median at the aligned widths, within rounds."""
    rates = [[sec / number for sec in row] for row, number in zip(seconds, flops, strict=True)]
    aligned = [rates[WIDTHS.index(width)] for width in ALIGNED]
    if not all(aligned):
        return [None] * len(rates)
    middle = [statistics.median(row) for row in zip(*aligned, strict=True)]
    return [paired_ratio(row, middle, seed=seed) if row else None for row in rates]


def compared(models: Mapping[str, Any], work: measure.Workload, rounds: int, seed: int) -> Result:
    """By width and quantity: seconds of each round, and the share that they are above aligned."""
    seconds = timed(models, work, rounds, seed)
    flops = [flops_of(model, work) for model in models.values()]
    rows: Result = {str(width): {"multiple_of": width & -width} for width in WIDTHS}
    for quantity, of_widths in seconds.items():
        ratios = excess(of_widths, [counts[quantity] for counts in flops], seed)
        for width, values, ratio in zip(WIDTHS, of_widths, ratios, strict=True):
            points = (ratio.value, *ratio.interval()) if ratio else ()
            more = [point - 1 for point in points] or None
            rows[str(width)][quantity] = {"seconds": values, "excess": more}
    return rows


def show(result: Result) -> None:
    """A table: a line a width, median milliseconds and per cent with its 95 % interval."""
    click.echo(
        f"\n{result['shape']} shape, {result['layers']} of {result['of_layers']} layers, "
        f"{result['workload']}: ms, and % more a FLOP than multiples of 64"
    )
    names = "".join(f"  {quantity:>9}{'':20}" for quantity in QUANTITIES)
    click.echo(f"{'width':>6} {'multiple of':>11}{names}".rstrip())
    for width, row in result["widths"].items():
        cells = "".join(f"  {cell(row[quantity]):29}" for quantity in QUANTITIES)
        click.echo(f"{width:>6} {row['multiple_of']:>11}{cells}".rstrip())


def cell(found: Result) -> str:
    if not found["seconds"]:
        return f"{'-':>9}"
    text = f"{1000 * statistics.median(found['seconds']):9.3f}"
    if found["excess"] is None:
        return text
    value, low, high = (100 * share for share in found["excess"])
    return f"{text} {value:+5.1f} [{low:+.1f}, {high:+.1f}]"


def shapes_of(_context: Any, _parameter: Any, text: str) -> list[str]:
    shapes = text.upper().split(",")
    if not set(shapes) <= set(SHAPES):
        raise click.BadParameter(
            f"must be some of {', '.join(SHAPES).lower()} with commas between; got {text!r}"
        )
    return shapes


def workloads_of(texts: str) -> list[measure.Workload]:
    try:
        return [measure.workload(text) for text in texts.split(",")]
    except RunError as error:
        raise click.UsageError(str(error)) from error


def settings_of(device: str, dtype: str, **more: Any) -> Result:
    """What fixes the numbers of a run."""
    import torch
    import transformers

    return {
        **more,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "load_average_before": os.getloadavg()[0],
        **asdict(measure.measure_peak_rates(device, dtype)),
    }


@click.command()
@click.option("--shape", "shapes", default="1b,3b", callback=shapes_of, show_default=True)
@click.option("--workload", "texts", help=f"PROMPTxNEWxBATCH, with commas; by device {WORKLOADS}.")
@click.option("--layers", type=click.IntRange(min=1), help="At most so many; else all that fit.")
@click.option(
    "--rounds",
    type=click.IntRange(min=measure.LEAST_ROUNDS),
    default=measure.LEAST_ROUNDS,
    show_default=True,
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Else cuda where there is one.")
@click.option(
    "--dtype", type=click.Choice(["bfloat16", "float32"]), default="bfloat16", show_default=True
)
@click.option("--seed", default=0, show_default=True, help="Of the order of widths.")
@click.option("-o", "out", type=click.Path(path_type=Path), help="JSON, anew after each workload.")
def main(
    shapes: list[str],
    texts: str | None,
    layers: int | None,
    rounds: int,
    device: str | None,
    dtype: str,
    seed: int,
    out: Path | None,
) -> None:
    """Time GLU blocks and whole models of Llama-3.2's shapes at 7373 neurons and around."""
    _bound_busy_waiting()
    _keep_freed_memory()
    import torch

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    works = workloads_of(texts or WORKLOADS[device])
    settings = settings_of(device, dtype, rounds=rounds, seed=seed)
    click.echo(", ".join(f"{name} {value}" for name, value in settings.items()))
    results: list[Result] = []
    # Asked before anything is built: the allocator may not give memory back that models had.
    fitting = {shape: layers_that_fit(shape, device, dtype) for shape in shapes}
    for shape, fit in fitting.items():
        count = min(fit, layers or fit)
        about = {"shape": shape, "layers": count, "of_layers": SHAPES[shape]["num_hidden_layers"]}
        models = models_of(shape, count, device, dtype)
        for work in works:
            rows = compared(models, work, rounds, seed)
            results.append({**about, "workload": work.name, "widths": rows})
            show(results[-1])
            if out:
                write(out, {"settings": settings, "results": results})
        del models


if __name__ == "__main__":
    main()
