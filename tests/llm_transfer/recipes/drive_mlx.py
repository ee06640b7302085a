# mypy: ignore-errors
"""Export to MLX, which runs what is printed on MLX before it is given: python drive_mlx.py."""

from importlib.metadata import version

import mlx.core as mx
from expected import close

import llm_transfer
from llm_transfer.snippets.exporting import exported
from llm_transfer.snippets.function import execute

for name in ("orpo", "dpo", "simpo", "rpo_bwd", "discopop", "ppo", "wide", "ta_mpo"):
    (parity,) = exported(name, "mlx").parity
    assert parity.precision == "float32"
    print(f"{name}: values to {parity.value:.1e}, gradients to {parity.gradient:.1e}")
loss = execute(llm_transfer.export("dpo", "mlx"))
slope = mx.grad(lambda logp_w: loss(logp_w, *map(mx.array, ([-3.0], [-2.0], [-2.0]))).sum())
close(slope(mx.array([-2.0])).item(), -0.1 / (1 + 2.718281828 ** (0.1 * 1.0)), "dpo's slope")
print("mlx", version("mlx"))
