"""What lies beside the weights of a checkpoint, and what of it a cut of the checkpoint gets.

The rule, which docs/cutting.md tells users:

- Weights of any format, and their indexes, are never copied.
- What states the width is updated (config.json, the index of shards) or left out.
- What is about the parent's weights as they were (its card, training states, scores, adapters,
  settings of quantization) is left out; the card is written anew.
- Code is copied where a config names it.
- All other text is copied, and of other files those of tokenizers, processors and licences, and
  those that a config names.
- Folders are left out, but for chat templates and the parts that modules.json names.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...arch import names_width
from ...notices import notice
from ...stats import joined

if TYPE_CHECKING:
    from .reader import Checkpoint

_BELONG = (
    *("*tokenizer*", "*vocab*", "merges*", "spiece*", "sentencepiece*", "*_tokens*.json", "*.spm"),
    *("*.model", "*.tiktoken", "tekken.json", "*.codes", "*.bpe", "normalizer.json", "dict.txt"),
    *("emoji.json", "byte_maps.json", "word_*.json"),
    *("*processor_config.json", "generation_config.json", "chat_template*", "*.jinja"),
)
_LEGAL = ("*licen[sc]e*", "*notice*", "copying*", "*policy*", "*terms*")
_LEGAL_KINDS = ("", ".md", ".txt", ".rst", ".pdf", ".html")
_FOREIGN = (
    *("config.json", "readme*", "params.json", "adapter_*", "consolidated*", ".*", "*.bak", "*~"),
    *("*.index.json*", "widthwise_*", "trainer_state*", "training_args*", "*results*.json"),
    *("quant*", "*_quant_*", "openvino_*", "latest"),
)
_WEIGHTS = (
    *(".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".ggml", ".h5", ".msgpack", ".npz"),
    *(".onnx", ".onnx_data", ".npy", ".xml", ".tflite", ".pb", ".pkl", ".zip", ".tar", ".gz"),
    *(".mlmodel", ".engine", ".dduf", ".llamafile", ".ot", ".nemo", ".mar", ".keras"),
)
_MAX_TEXT_BYTES = 64 * 2**20  # of a file that is copied for no reason but that it is text
_WRITTEN_ANEW = ("config.json", "README.md", "widthwise_*", ".*")
_MODULES = "modules.json"  # of sentence-transformers: the folders of what follows the network
_TEMPLATES = "additional_chat_templates"
_RELATIVE = re.compile(r"^\s*(?:from\s+\.(\w+)\s+import|import\s+\.(\w+)\s*$)", re.MULTILINE)
_CODE_KEYS = ("auto_map", "custom_pipelines")


def copy_companions(checkpoint: Checkpoint, folder: Path) -> None:
    """Copy what belongs to a cut checkpoint beside its weights and its config."""
    for parent in dict.fromkeys((checkpoint.path, checkpoint.tokenizer_folder)):
        _copy_from(parent, folder)


def _copy_from(parent: Path, folder: Path) -> None:
    for name in companions(parent):
        source = parent / name
        if source.suffix == ".json" and (changed := _without_lost_code(source)) is not None:
            (folder / name).write_text(json.dumps(changed, indent=2) + "\n", encoding="utf8")
        else:
            shutil.copyfile(source, folder / name)
    for name in _folders(parent):
        shutil.copytree(parent / name, folder / name)


def tell_left_out(parent: Path, read: Collection[Path]) -> None:
    """Give a notice, in one line, of what of the parent's folder its cut does not get.

    Args:
        parent: The folder.
        read: Its files of weights, and their index, out of which the cut is made.
    """
    kept = {*companions(parent), *_folders(parent), *(file.name for file in read)}
    names = sorted(path.name + "/" * path.is_dir() for path in parent.iterdir())
    left = [n for n in names if n.rstrip("/") not in kept and not _is_one_of(n, _WRITTEN_ANEW)]
    if left:
        notice(
            f"Left out: {joined(left)}; a cut gets no other weights, and nothing that states the "
            "old width or is about the dense weights (docs/cutting.md)."
        )


def with_code(config: Mapping[str, Any], parent: Path) -> dict[str, Any]:
    """A config that names only code which its folder holds, or which must be fetched to load it.

    Code of another repository stays named for a model that transformers does not know; one that it
    knows loads without.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    is_known = config.get("model_type") in CONFIG_MAPPING
    result: dict[str, Any] = _pruned(dict(config), parent, keeps_remote=not is_known)
    return result


def companions(parent: Path) -> list[str]:
    """Names of the files beside the weights and the config of a folder that belong to its model."""
    present = {path.name: path for path in parent.iterdir() if path.is_file()}
    result = {name for name in present if _belongs(name)}
    texts = [parent / name for name in {"config.json", *result} & set(present)]
    code = _modules(parent, [ref for text in texts for ref in _references(_json(text))])
    named = {
        word
        for path in [*texts, *(parent / name for name in code)]
        if path.suffix in (".json", ".py") and path.name != "tokenizer.json"
        for word in re.findall(r"[\"']([\w.\-]+)[\"']", path.read_text("utf8", errors="replace"))
    }
    resources = {n for n in named & set(present) if not _is_foreign(n) and not n.endswith(".py")}
    neutral = {n for n in present if not n.endswith(".py") and not _is_foreign(n)}
    others = {name for name in neutral if _is_neutral_text(parent / name)}
    if _module_folders(parent) is None:
        others.discard(_MODULES)
    return sorted(result | code | resources | others)


def _folders(parent: Path) -> list[str]:
    """Names of the folders to copy, sorted."""
    templates = [_TEMPLATES] if (parent / _TEMPLATES).is_dir() else []
    return sorted([*templates, *(_module_folders(parent) or ())])


def _module_folders(parent: Path) -> set[str] | None:
    """The folders that modules.json names; None where one of them holds what is not copied."""
    data = _json(parent / _MODULES) if (parent / _MODULES).is_file() else None
    modules = data if isinstance(data, list) else []
    named = {str(each.get("path", "")) for each in modules if isinstance(each, Mapping)}
    present = {name for name in named if name and (parent / name).is_dir()}
    files = [path for name in present for path in (parent / name).iterdir()]
    are_inside = all(Path(name).name == name for name in present)
    are_neutral = all(path.is_file() and _is_neutral_text(path) for path in files)
    return present if are_inside and are_neutral else None


def _is_neutral_text(path: Path) -> bool:
    """Whether a file is text that does not speak of a width."""
    if path.stat().st_size > _MAX_TEXT_BYTES:
        return False
    try:
        text = path.read_text(encoding="utf8")
    except ValueError:
        return False
    return "\0" not in text and not names_width(text)


def _belongs(name: str) -> bool:
    small = name.lower()
    is_legal = Path(small).suffix in _LEGAL_KINDS and _is_one_of(small, _LEGAL)
    is_model_data = not small.endswith(".py") and _is_one_of(small, _BELONG)
    return (is_legal or is_model_data) and not _is_foreign(name)


def _is_foreign(name: str) -> bool:
    small = name.lower()
    return small.endswith(_WEIGHTS) or _is_one_of(small, _FOREIGN)


def _is_one_of(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, each) for each in patterns)


def _json(path: Path) -> Any:
    if path.suffix != ".json" or path.name == "tokenizer.json":
        return None
    try:
        return json.loads(path.read_text(encoding="utf8"))
    except (ValueError, RecursionError):
        return None  # copied as it is; whoever reads it will say so


def _references(data: Any) -> Iterable[str]:
    """Classes of code that a JSON file names, as `module.Class` or `repository--module.Class`."""
    if isinstance(data, list):
        for each in data:
            yield from _references(each)
    elif isinstance(data, Mapping):
        for key, value in data.items():
            if key in _CODE_KEYS:
                yield from _strings(value)
            else:
                yield from _references(value)


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(each)


def _modules(parent: Path, references: Iterable[str]) -> set[str]:
    """Files of code in a folder that references lead to, by their relative imports as well."""
    result: set[str] = set()
    waiting = [f"{ref.rpartition('.')[0]}.py" for ref in references if "--" not in ref]
    while waiting:
        name = waiting.pop()
        if name in result or Path(name).name != name or not (parent / name).is_file():
            continue
        result.add(name)
        code = (parent / name).read_text(encoding="utf8", errors="replace")
        waiting += [f"{first or second}.py" for first, second in _RELATIVE.findall(code)]
    return result


def _is_present(parent: Path, reference: str) -> bool:
    return bool(_modules(parent, [reference]))


def _without_lost_code(path: Path) -> dict[str, Any] | None:
    """The content of a JSON file without the names of code that is not there; None as it is."""
    data = _json(path)
    if not isinstance(data, dict):
        return None
    result = _pruned(data, path.parent, keeps_remote=True)
    return result if result != data else None


def _pruned(data: Any, parent: Path, *, keeps_remote: bool) -> Any:
    """A copy without those entries of `auto_map` whose code is not there."""
    if isinstance(data, list):
        return [_pruned(each, parent, keeps_remote=keeps_remote) for each in data]
    if not isinstance(data, dict):
        return data
    result = {}
    for key, value in data.items():
        if key not in _CODE_KEYS:
            result[key] = _pruned(value, parent, keeps_remote=keeps_remote)
            continue
        kept = {
            name: entry
            for name, entry in (value.items() if isinstance(value, dict) else [("", value)])
            if all(
                keeps_remote if "--" in each else _is_present(parent, each)
                for each in _strings(entry)
                if "." in each
            )
        }
        if kept:
            result[key] = kept if isinstance(value, dict) else value
    return result
