"""GGUF files cut to a plan: quantized rows are kept bit for bit, down is quantized again."""

from .writer import GgufResult, down_alignment, write_pruned_gguf

__all__ = ["GgufResult", "down_alignment", "write_pruned_gguf"]
