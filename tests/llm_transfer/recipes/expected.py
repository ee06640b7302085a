# mypy: ignore-errors
"""What a recipe must compute, by another way: token by token, in double precision."""

import torch


def sums(model, inputs, mask):
    """Return log π of the responses of a batch, summed, and their tokens."""
    with torch.no_grad():
        logits = model(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
        ).logits
    logp = torch.zeros(len(mask), dtype=torch.float64)
    for row, at in mask[:, 1:].nonzero().tolist():
        token = inputs["input_ids"][row, at + 1]
        logp[row] += logits[row, at].double().log_softmax(-1)[token]
    return logp, mask[:, 1:].sum(-1).double()


def close(found, wanted, what, tolerance=1e-4):
    """Fail if two numbers differ."""
    found, wanted = float(torch.as_tensor(found).detach()), float(torch.as_tensor(wanted).detach())
    assert abs(found - wanted) <= tolerance * max(1.0, abs(wanted)), (what, found, wanted)
    print(f"{what}: {found:.6f}, wanted {wanted:.6f}")
