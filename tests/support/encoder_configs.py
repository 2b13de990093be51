"""Configs of tiny encoders, and of pairs of an encoder and a decoder."""

from __future__ import annotations

from typing import Any

from text_configs import SHAPE, VOCAB, WIDTH

_MASKED, _PAIR = "AutoModelForMaskedLM", "AutoModelForSeq2SeqLM"
_T5: dict[str, Any] = {
    "d_model": 32,
    "d_ff": WIDTH,
    "d_kv": 8,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "vocab_size": VOCAB,
    "initializer_factor": 2.0,
    "decoder_start_token_id": 0,
    "feed_forward_proj": "gated-gelu",
}
# Their class of transformers, and the settings of their config.
ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "modernbert": (
        _MASKED,
        {**SHAPE, "global_attn_every_n_layers": 2, "local_attention": 16, "cls_token_id": 1},
    ),
    "nomic_bert": (_MASKED, SHAPE),
    "gte": (_MASKED, SHAPE),
    "eurobert": (_MASKED, {**SHAPE, "mask_token_id": 3}),
    "ultrabert": (_MASKED, SHAPE),
    "jina_embeddings_v3": (_MASKED, SHAPE),
    "esmc": (_MASKED, {**SHAPE, "num_key_value_heads": 4}),
    "t5": (_PAIR, _T5),
    "t5-without-gate": (_PAIR, {**_T5, "model_type": "t5", "feed_forward_proj": "relu"}),
    "t5-encoder": ("AutoModelForTextEncoding", {**_T5, "model_type": "t5"}),
    "mt5": (_PAIR, _T5),
    "umt5": (_PAIR, _T5),
    "longt5": (_PAIR, _T5),
    "t5gemma": (
        _PAIR,
        {
            "encoder": {**SHAPE, "head_dim": 8},
            "decoder": {**SHAPE, "head_dim": 8, "num_hidden_layers": 2},
            "vocab_size": VOCAB,
        },
    ),
}
