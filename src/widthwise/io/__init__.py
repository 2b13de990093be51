"""Files: all that is written, whole or not at all; locks, memory, and what users' files hold."""

from .atomic_file import check_new_file, partial_path, replace_file, write_text
from .atomic_folder import (
    check_overwrite,
    kept_workdir,
    locked_workdir,
    move_into_place,
    new_folder,
    new_once,
)
from .background import run_periodically
from .checksum import file_sha256, remembered_sha256
from .decode import from_json, from_plain, read_arrays
from .jsonl import append_lines, read_whole_lines
from .lock import check_system, locked
from .memory_limit import free_bytes, limited_memory, out_of_memory, process_bytes
from .plain_text import (
    UNPACK_ERRORS,
    check_plain_text,
    files_in,
    holds_rows,
    is_data_card,
    is_numbers,
    lfs_pointer,
    open_unpacked,
)
from .safetensors_stream import (
    DTYPE_BYTES,
    FLOAT_DTYPES,
    TORCH_DTYPES,
    TensorSpec,
    aligned,
    safetensors_head,
    save_tensors,
    stream_safetensors,
    tensor_bytes,
)

__all__ = [
    "DTYPE_BYTES",
    "FLOAT_DTYPES",
    "TORCH_DTYPES",
    "UNPACK_ERRORS",
    "TensorSpec",
    "aligned",
    "append_lines",
    "check_new_file",
    "check_overwrite",
    "check_plain_text",
    "check_system",
    "file_sha256",
    "files_in",
    "free_bytes",
    "from_json",
    "from_plain",
    "holds_rows",
    "is_data_card",
    "is_numbers",
    "kept_workdir",
    "lfs_pointer",
    "limited_memory",
    "locked",
    "locked_workdir",
    "move_into_place",
    "new_folder",
    "new_once",
    "open_unpacked",
    "out_of_memory",
    "partial_path",
    "process_bytes",
    "read_arrays",
    "read_whole_lines",
    "remembered_sha256",
    "replace_file",
    "run_periodically",
    "safetensors_head",
    "save_tensors",
    "stream_safetensors",
    "tensor_bytes",
    "write_text",
]
