"""What an objective costs: value and gradient of a minibatch, as ratios within one run.

python -m benchmarks.objectives [--json] [--rounds N]
"""

import argparse
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import mpo
from benchmarks.measuring import Timing, compare, machine
from mpo.policies import GaussianPolicy

PAIRS, STEPS, REPEATS = 32, 50, 100
OBSERVATION, ACTION = 11, 3  # those of Hopper
NAMES = tuple(name for name in mpo.OBJECTIVES if name != "mpo")


def _potentials(kind: str, **settings: Any) -> mpo.Objective:
    psi = mpo.potential(kind, role="psi", **settings)
    return mpo.objective("mpo", psi=psi, phi_inv=mpo.potential(kind, role="phi_inv", **settings))


LEARNED = {
    "mpo: network, 126 units": _potentials("network"),
    "mpo: network, 126 units, temporal": _potentials("network", temporal=True),
    "mpo: network, 18 units": _potentials("network", units=18),
    "mpo: basis, 8 functions": _potentials("basis"),
    "mpo: basis, 8 functions, temporal": _potentials("basis", temporal=True),
}


def _repeated(loss: Callable[[Any], jax.Array]) -> Callable[[Any], Any]:
    """Return `REPEATS` gradient steps in one call, so that the cost of calling drops out.

    The values are returned too, or they would not be computed.
    """

    def body(x: Any, _: None) -> tuple[Any, jax.Array]:
        value, slope = jax.value_and_grad(loss)(x)
        return jax.tree.map(lambda a, g: a - 1e-9 * g, x, slope), value

    return lambda x: jax.lax.scan(body, x, None, length=REPEATS)


def _objective_step(objective: mpo.Objective, batch: mpo.Comparison) -> Callable[[Any], Any]:
    def loss(logp: jax.Array) -> jax.Array:
        losses = jax.vmap(objective, in_axes=(0, None))(dataclasses.replace(batch, logp=logp), 0.5)
        return jnp.mean(losses)

    return _repeated(loss)


def _policy_step(policy: GaussianPolicy) -> Callable[[Any], Any]:
    shape = (PAIRS, 2, STEPS)
    observation = jax.random.normal(jax.random.key(1), (*shape, OBSERVATION))
    action = jax.random.normal(jax.random.key(2), (*shape, ACTION))
    return _repeated(lambda params: jnp.mean(policy.log_prob(params, observation, action)))


def measure(rounds: int) -> dict[str, Timing]:
    """Time a minibatch of every objective, and the policy gradient of the same minibatch."""
    logp = jax.random.uniform(jax.random.key(3), (PAIRS, 2), minval=-4.0 * STEPS, maxval=0.0)
    length = jnp.full((PAIRS, 2), STEPS)
    batch = mpo.Comparison(logp=logp, length=length, ref_logp=logp - 1, reward=logp)
    named = {name: mpo.objective(name) for name in NAMES}
    candidates: dict[str, Any] = {
        name: (_objective_step(objective, batch), (logp,))
        for name, objective in (named | LEARNED).items()
    }
    policy = GaussianPolicy(OBSERVATION, ACTION)
    candidates["policy gradient"] = (_policy_step(policy), (policy.init(jax.random.key(0)),))
    return compare(candidates, rounds)


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=40, help="rounds of the measurement")
    asked = parser.parse_args()
    timings = measure(asked.rounds)
    dpo, orpo, update = (timings[n].best for n in ("dpo", "orpo", "policy gradient"))
    rows = {
        name: {
            "ns per comparison": t.best / REPEATS / PAIRS * 1e9,
            "x dpo": t.best / dpo,
            "x orpo": t.best / orpo,
            "% of policy gradient": 100 * t.best / update,
            "compile s": t.compile,
        }
        for name, t in timings.items()
    }
    if asked.json:
        print(json.dumps({"machine": str(machine()), "rows": rows}, indent=2))
        return
    print(f"{PAIRS} pairs x {STEPS} steps, value and gradient; fastest of the rounds; {machine()}")
    columns = list(next(iter(rows.values())))
    print(f"{'':35s}" + "".join(f"{column:>22s}" for column in columns))
    for name, row in rows.items():
        print(f"{name:35s}" + "".join(f"{row[column]:22.3g}" for column in columns))


if __name__ == "__main__":
    main()
