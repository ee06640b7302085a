"""Writers of the task `language` as models of `transformers`, with the same weights."""

from typing import Any

import jax
import numpy as np
import torch
from torch import Tensor

from envs.language.rules import END, PAD
from mpo.policies import GPTPolicy


def as_gpt2(params: Any, policy: GPTPolicy) -> Any:
    """Return the writer as a `GPT2LMHeadModel`, whose log-probabilities are the policy's."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=policy.vocabulary,
        n_positions=policy.window or policy.seen,
        n_embd=policy.width,
        n_layer=policy.layers,
        n_head=policy.heads,
        activation_function="gelu_new",
        layer_norm_epsilon=1e-6,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=PAD,
    )
    model = GPT2LMHeadModel(config).float()
    model.load_state_dict(_state(jax.device_get(params), policy), strict=True)
    return model.eval()


def _state(params: Any, policy: GPTPolicy) -> dict[str, Tensor]:
    """Return the weights by the names that they have in `transformers`."""
    found = {
        "transformer.wte.weight": params["embed"]["embedding"],
        "transformer.wpe.weight": params["place"]["embedding"],
        "lm_head.weight": params["out"]["kernel"].T,
        **_norm("transformer.ln_f", params["norm"]),
    }
    for layer in range(policy.layers):
        block = f"transformer.h.{layer}"
        attend = params[f"attend_{layer}"]
        parts = [attend[name] for name in ("query", "key", "value")]
        width = policy.width
        found |= {
            f"{block}.attn.c_attn.weight": np.concatenate(
                [part["kernel"].reshape(width, width) for part in parts], axis=1
            ),
            f"{block}.attn.c_attn.bias": np.concatenate([part["bias"].ravel() for part in parts]),
            f"{block}.attn.c_proj.weight": attend["out"]["kernel"].reshape(width, width),
            f"{block}.attn.c_proj.bias": attend["out"]["bias"],
            **_norm(f"{block}.ln_1", params[f"norm_attend_{layer}"]),
            **_norm(f"{block}.ln_2", params[f"norm_widen_{layer}"]),
        }
        for name, ours in (("c_fc", "widen"), ("c_proj", "narrow")):
            dense = params[f"{ours}_{layer}"]
            found[f"{block}.mlp.{name}.weight"] = dense["kernel"]
            found[f"{block}.mlp.{name}.bias"] = dense["bias"]
    return {name: torch.from_numpy(np.array(values)) for name, values in found.items()}


def _norm(name: str, norm: Any) -> dict[str, np.ndarray]:
    return {f"{name}.weight": norm["scale"], f"{name}.bias": norm["bias"]}
