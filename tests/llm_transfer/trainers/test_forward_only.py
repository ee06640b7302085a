"""Training by forward passes alone, on both trainers: exact, resumable, told by its ledger."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [llm] extra")
datasets = pytest.importorskip("datasets", reason="needs the [llm] extra")
peft = pytest.importorskip("peft", reason="needs the [llm] extra")
trl = pytest.importorskip("trl", reason="needs the [llm] extra")

from llm_transfer.trainers import (  # noqa: E402
    ForwardOnly,
    Guide,
    Ledger,
    MPOTrainer,
    Perturbation,
    PreferenceTrainer,
    SeededDescent,
    change,
    replay,
)
from llm_transfer.trainers import perturbation as torch_side  # noqa: E402
from llm_transfer.trainers.ledger import Entry  # noqa: E402
from llm_transfer.trainers.perturbation import Directions  # noqa: E402
from llm_transfer.trainers.seeded_descent import PATIENCE  # noqa: E402
from mpo.errors import RequestError  # noqa: E402
from mpo.train.zeroth_order import DECAYS, MAGNITUDES, NOISES, SCOPES, guided  # noqa: E402

pytestmark = [
    pytest.mark.llm,
    pytest.mark.filterwarnings("ignore:.(is_)?gradient_checkpointing. is deprecated:FutureWarning"),
]


class Plain(ForwardOnly, PreferenceTrainer):
    """Without TRL."""


class OnTRL(ForwardOnly, MPOTrainer):
    """With TRL."""


ROADS = pytest.mark.parametrize("road", [Plain, OnTRL])


@pytest.fixture
def made(folder, words, rows, settings):
    """Return a trainer that has not trained, as a function of its kind and what differs."""
    from transformers import AutoModelForCausalLM

    def make(road, loss, model=None, others=None, **changed):
        model = AutoModelForCausalLM.from_pretrained(folder) if model is None else model
        kind = {"kind": trl.DPOConfig} if road is OnTRL else {}
        return road(
            model,
            loss=loss,
            args=settings(**kind, **{"per_device_train_batch_size": 8} | changed),
            train_dataset=datasets.Dataset.from_list(rows[:32]),
            processing_class=words,
            **(others or {}),
        )

    return make


@pytest.fixture
def lora():
    return peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")


def _kept(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def _same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def _logged(trainer, key):
    return [line[key] for line in trainer.state.log_history if key in line]


# Directions


def _weights(dtype=torch.float32):
    torch.manual_seed(0)
    shapes = {"a.weight": (40, 30), "b.weight": (40, 30), "c.bias": (7,), "d": ()}
    return {n: torch.randn(s, dtype=dtype).requires_grad_() for n, s in shapes.items()}


def _in_jax(tree):
    return {name: jnp.asarray(value.detach().numpy()) for name, value in tree.items()}


def _whole(directions, direction):
    return torch.cat([z.flatten() for z, *_ in directions.along(direction)])


def test_settings_are_those_of_the_slopes_in_jax():
    assert torch_side.NOISES.keys() == NOISES.keys()
    assert torch_side.SCOPES == SCOPES
    assert torch_side.MAGNITUDES == MAGNITUDES
    assert torch_side.DECAYS.keys() == DECAYS.keys()
    for name, decay in torch_side.DECAYS.items():
        for k in (0, 3, 9, 12):
            theirs = DECAYS[name](*map(jnp.float32, (0.9, k, 10)))
            assert decay(0.9, k, 10) == pytest.approx(float(theirs), abs=1e-6)


@pytest.mark.parametrize("scope", torch_side.SCOPES)
@pytest.mark.parametrize("magnitude", torch_side.MAGNITUDES)
@pytest.mark.parametrize("known", ["both", "no away", "one leaf"])
def test_a_guided_direction_is_that_of_jax(scope, magnitude, known, monkeypatch):
    monkeypatch.setattr(torch_side, "PIECE", 500)  # three pieces a kernel
    weights = _weights()
    del weights["d"]  # where of one number nothing is left but rounding
    torch.manual_seed(1)
    along, away = ({n: torch.randn_like(w) for n, w in weights.items()} for _ in range(2))
    if known == "one leaf":
        along = {"b.weight": along["b.weight"]}
    how = Perturbation(scope=scope, magnitude=magnitude)
    guide = Guide(along, None if known == "no away" else away)
    found = Directions(weights, how, 3, guide).draw(5, 0, 0.6)
    ours = _whole(Directions(weights, how, 3, guide), found)
    plain = Directions(weights, how, 3)
    pieces = _whole(plain, plain.draw(5, 0, 0.0)).split([w.numel() for w in weights.values()])
    noise = {n: z.view(w.shape) for (n, w), z in zip(weights.items(), pieces, strict=True)}
    zeros = {n: torch.zeros(w.shape) for n, w in weights.items()}
    theirs = guided(
        _in_jax(noise),
        _in_jax(zeros | along),
        None if known == "no away" else _in_jax(away),
        0.6,
        scope=scope,
        magnitude=magnitude,
    )
    flat = np.concatenate([np.ravel(theirs[name]) for name in weights])
    np.testing.assert_allclose(ours.numpy(), flat, atol=3e-5)
    assert found.length == pytest.approx(np.linalg.norm(flat), rel=1e-5)


@pytest.mark.parametrize("noise", torch_side.NOISES)
def test_noise_has_mean_square_one_and_differs_between_weights_of_a_shape(noise):
    weights = {"a": torch.zeros(100, 100), "b": torch.zeros(100, 100)}
    directions = Directions(weights, Perturbation(noise=noise), 0)
    one, other = directions.draw(0, 0, 0.0), directions.draw(1, 0, 0.0)
    z = _whole(directions, one)
    a, b = z.chunk(2)
    assert abs(float(a @ b)) / 10_000 < 4 / 100
    assert abs(float(z @ _whole(directions, other))) / 20_000 < 4 / math.sqrt(20_000)
    assert one.length == pytest.approx(float(z.norm()), rel=1e-5)
    assert one.length**2 / 20_000 == pytest.approx(1.0, abs=1e-5 if noise != "gaussian" else 0.05)
    assert torch.equal(z, _whole(directions, one))


def test_a_guide_that_does_not_fit_is_refused():
    weights = _weights()
    for along, message in (
        ({"x": torch.ones(3)}, "none of the weights"),
        ({"c.bias": torch.ones(3)}, r"shape \[3\] at c.bias"),
        ({"c.bias": torch.zeros(7)}, "leads nowhere"),
    ):
        with pytest.raises(RequestError, match=message):
            Directions(weights, Perturbation(), 0, Guide(along))


def test_changes_go_by_the_names_that_wrappers_hide(folder, lora, tmp_path):
    from transformers import AutoModelForCausalLM

    lora.init_lora_weights = False
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(folder), lora)
    model.save_pretrained(tmp_path / "before")
    before = _kept(model)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1.0 if weight.requires_grad else 0.0)
    model.save_pretrained(tmp_path / "after")
    by_folder = change(tmp_path / "after", tmp_path / "before")
    by_state = change(dict(model.named_parameters()), before)
    assert by_folder
    assert all(torch.equal(by_folder[name], by_state[name]) for name in by_folder)
    trained = {n: w for n, w in model.named_parameters() if w.requires_grad}
    direction = Directions(trained, Perturbation(), 0, Guide(by_folder)).draw(0, 0, 1.0)
    assert direction.length == pytest.approx(math.sqrt(sum(w.numel() for w in trained.values())))
    with pytest.raises(RequestError, match="save_pretrained"):
        change(tmp_path, tmp_path)


# The optimizer


@pytest.mark.parametrize("epsilon", [1e-4, 1e-2, 1.0])
def test_the_slope_is_the_derivative_along_the_direction(epsilon):
    """On a quadratic the difference is exact, whatever its width."""
    weights = _weights(torch.float64)
    descent = SeededDescent(weights.items(), 1.0, Perturbation(epsilon=epsilon, samples=2))

    def loss():
        return sum(((index + 1) * w**2 + w).sum() for index, w in enumerate(weights.values()))

    loss().backward()
    gradient = torch.cat([w.grad.flatten() for w in weights.values()])
    found = descent.estimate(lambda: loss())
    for sample, scalar in enumerate(found.scalars):
        direction = descent._directions.draw(0, sample, 0.0)
        expected = float(_whole(descent._directions, direction) @ gradient)
        assert scalar == pytest.approx(expected, rel=1e-7)
    assert found.scalars[0] != found.scalars[1]


def test_the_loss_falls_and_as_much_by_a_sum_as_by_a_gradient_on_average():
    """E s·z is the gradient: many directions move as gradient descent does."""
    torch.manual_seed(0)
    start, goal = torch.randn(2, 30)
    weight = torch.nn.Parameter(start.clone())
    descent = SeededDescent(
        [("w", weight)], 0.05, Perturbation(epsilon=1e-2, samples=300, noise="rademacher")
    )
    descent.step(lambda: ((weight - goal) ** 2).sum() / 2)
    exact = start - 0.05 * (start - goal)
    moved, wanted = weight.detach() - start, exact - start
    assert float(torch.cosine_similarity(moved, wanted, dim=0)) > 0.9
    alone = SeededDescent([("w", weight)], 0.02)
    values = [alone.step(lambda: ((weight - goal) ** 2).sum()) for _ in range(150)]
    assert values[-1] < 0.1 * values[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_looks_leave_the_weights_as_they_are(dtype):
    weights = _weights(dtype)
    before = {n: w.detach().clone() for n, w in weights.items()}
    descent = SeededDescent(weights.items(), 1.0)
    for _ in range(200):
        descent.estimate(lambda: weights["a.weight"].float().sum())
        descent._drawn.clear()
        descent._number += 1
    assert _same(before, weights)


def test_in_place_they_drift_by_rounding_alone():
    weights = _weights()
    before = {n: w.detach().clone() for n, w in weights.items()}
    descent = SeededDescent(weights.items(), 1.0, Perturbation(restore="in_place"))
    for _ in range(200):
        descent.estimate(lambda: weights["a.weight"].sum())
        descent._drawn.clear()
        descent._number += 1
    drift = max(float((weights[n] - w).detach().abs().max()) for n, w in before.items())
    assert 0 < drift < 1e-5 * max(float(w.abs().max()) for w in before.values())
    with pytest.raises(RequestError, match="use restore='exact'"):
        SeededDescent(_weights(torch.bfloat16).items(), 1.0, Perturbation(restore="in_place"))


def test_steps_below_the_resolution_of_a_weight_add_up():
    weight = torch.nn.Parameter(torch.ones(64, dtype=torch.bfloat16))
    descent = SeededDescent([("w", weight)], 1e-4, Perturbation(epsilon=0.5, samples=8))
    for _ in range(200):
        descent.step(lambda: weight.float().sum())
    assert float(weight.detach().float().mean()) == pytest.approx(1 - 200 * 1e-4, abs=0.01)
    moved = SeededDescent([("w", weight)], 1.0)
    with torch.no_grad():
        weight.fill_(3.0)  # by somebody else: what moves from now on is this
    moved.estimate(lambda: weight.float().sum())
    assert (weight == 3.0).all()


def test_a_loss_that_is_no_number_is_skipped_and_ends_the_training_if_it_stays():
    weights = _weights()
    before = {n: w.detach().clone() for n, w in weights.items()}
    descent = SeededDescent(weights.items(), 1.0)
    for _ in range(PATIENCE - 1):
        descent.step(lambda: math.nan)
    assert _same(before, weights)
    assert descent.ledger.entries == []
    descent.step(lambda: weights["a.weight"].sum())
    assert descent.skipped == 0
    assert [entry.number for entry in descent.ledger.entries] == [PATIENCE - 1]
    for _ in range(PATIENCE - 1):
        descent.step(lambda: math.inf)
    with pytest.raises(FloatingPointError, match="lower the learning rate or epsilon"):
        descent.step(lambda: math.nan)


def test_an_exception_inside_the_loss_leaves_the_weights_as_they_are():
    weights = _weights()
    before = {n: w.detach().clone() for n, w in weights.items()}

    def loss():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SeededDescent(weights.items(), 1.0).estimate(loss)
    assert _same(before, weights)


def test_a_ledger_is_small_and_comes_back_whole(tmp_path):
    entries = [Entry(n, float(np.float32(1e-3)), 0.5, (float(n), 2.0)) for n in range(1000)]
    about = SeededDescent(_weights().items(), 1.0).ledger.about
    one = Ledger(about, [e._replace(scalars=e.scalars[:1]) for e in entries])
    one.save(tmp_path / "one.npz")
    assert (tmp_path / "one.npz").stat().st_size < 20_000
    for ledger in (one, Ledger(about, entries), Ledger(about)):
        ledger.save(tmp_path / "ledger.npz")
        assert Ledger.load(tmp_path) == ledger
    (tmp_path / "ledger.npz").write_bytes(b"PK")
    with pytest.raises(RequestError, match="no ledger"):
        Ledger.load(tmp_path)
    with pytest.raises(RequestError, match="there is no"):
        Ledger.load(tmp_path / "none.npz")


# The trainers


@ROADS
def test_at_rate_zero_nothing_moves(road, made, losses):
    trainer = made(road, losses["closed"], learning_rate=0.0)
    before = _kept(trainer.model)
    trainer.train()
    assert _same(before, dict(trainer.model.named_parameters()))
    assert len(trainer.ledger.entries) == 4
    assert len({entry.scalars for entry in trainer.ledger.entries}) == 4


@ROADS
def test_the_slope_of_a_batch_is_the_derivative_of_its_loss(road, made, losses):
    trainer = made(
        road, losses["closed"], others={"perturbation": Perturbation(epsilon=0.02)}, max_steps=1
    )
    trainer.model.double()
    start = _kept(trainer.model)
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.compute_loss(trainer.model, batch).backward()
    gradient = {n: w.grad.clone() for n, w in trainer.model.named_parameters()}
    trainer.model.zero_grad()
    trainer.train()
    directions = Directions(start, trainer.perturbation, trainer.args.seed)
    pieces = directions.along(directions.draw(0, 0, 0.0), list(gradient.values()))
    expected = sum(float((z * g).sum()) for z, g in pieces)
    assert trainer.ledger.entries[0].scalars[0] == pytest.approx(expected, rel=1e-3)


@ROADS
def test_four_batches_of_two_are_one_of_eight(road, made, losses):
    found = []
    for batch, parts in ((8, 1), (2, 4)):
        trainer = made(
            road,
            losses["simpo"],
            learning_rate=1e-4,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=parts,
        )
        trainer.train()
        scalars = [entry.scalars[0] for entry in trainer.ledger.entries]
        found.append((_kept(trainer.model), scalars, _logged(trainer, "loss")))
    (one, scalars, said), (other, others, also) = found
    assert scalars == pytest.approx(others, rel=1e-3, abs=1e-4)
    assert said == pytest.approx(also, rel=1e-4)
    for name, weight in one.items():
        torch.testing.assert_close(weight, other[name], rtol=1e-5, atol=1e-5)


@ROADS
def test_a_training_that_is_resumed_is_one_that_was_not_interrupted(
    road, made, losses, lora, tmp_path
):
    others = {"perturbation": Perturbation(noise="sphere"), "peft_config": lora}
    common = {"others": others, "learning_rate": 1e-3, "lr_scheduler_type": "linear"}
    whole = made(road, losses["simpo"], **common, save_strategy="steps", save_steps=2)
    whole.train()
    resumed = made(road, losses["simpo"], **common)
    resumed.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-2"))
    assert _same(_kept(whole.model), dict(resumed.model.named_parameters()))
    assert resumed.ledger.entries == whole.ledger.entries
    assert Ledger.load(tmp_path / "out" / "checkpoint-4").entries == whole.ledger.entries
    other = made(road, losses["simpo"], **common | {"others": {"peft_config": lora}})
    with pytest.raises(RequestError, match=r"of another training .*noise"):
        other.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-2"))


@pytest.mark.parametrize(
    ("road", "restore"), [(Plain, "exact"), (OnTRL, "exact"), (Plain, "in_place")]
)
def test_the_ledger_tells_the_training_again(road, restore, made, losses, folder, tmp_path):
    from transformers import AutoModelForCausalLM

    how = Perturbation(restore=restore, samples=2)
    trainer = made(
        road, losses["closed"], others={"perturbation": how}, learning_rate=1e-3, weight_decay=0.1
    )
    trainer.train()
    trainer.save_model(str(tmp_path / "model"))
    again, start = (AutoModelForCausalLM.from_pretrained(folder) for _ in range(2))
    replay(again, tmp_path / "model")
    trained = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    moved = zip(trained.parameters(), again.parameters(), start.parameters(), strict=True)
    for one, other, before in moved:
        assert not torch.equal(one, before)
        if restore == "exact":
            assert torch.equal(one, other)
        else:
            torch.testing.assert_close(one, other, rtol=0, atol=2e-6)
    with pytest.raises(RequestError, match=r"another model or training: .*weights"):
        replay(torch.nn.Linear(3, 3), tmp_path / "model")


def test_a_guided_round_is_told_again_with_its_guide(made, losses, folder):
    from transformers import AutoModelForCausalLM

    first = made(Plain, losses["simpo"], learning_rate=1e-4)
    start = _kept(first.model)
    first.train()
    along = change(dict(first.model.named_parameters()), start)
    how = Perturbation(alpha=0.9, scope="leaf")
    second = made(
        Plain,
        losses["simpo"],
        model=first.model,
        others={"perturbation": how, "guide": Guide(along)},
        learning_rate=1e-4,
    )
    second.train()
    assert [e.alpha for e in second.ledger.entries] == pytest.approx([0.9, 0.65, 0.4, 0.15])
    again = AutoModelForCausalLM.from_pretrained(folder)
    replay(again, first.ledger)
    for wrong in (None, Guide({name: 2 * way for name, way in along.items()})):
        with pytest.raises(RequestError, match="guide: "):
            replay(again, second.ledger, wrong)
    replay(again, second.ledger, Guide(along))
    assert _same(_kept(again), dict(second.model.named_parameters()))


@ROADS
def test_of_an_adapted_model_the_adapter_alone_moves(road, made, losses, lora, folder, tmp_path):
    from transformers import AutoModelForCausalLM

    others = {"peft_config": lora}
    trainer = made(road, losses["dpo"], others=others, learning_rate=1e-3, logging_steps=1)
    before = _kept(trainer.model)
    trainer.train()
    # Of DPO near its reference, which the adapter is without what was added to it.
    assert _logged(trainer, "loss")[0] == pytest.approx(math.log(2), abs=0.1)
    after = dict(trainer.model.named_parameters())
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all("lora" in name and ".ref." not in name for name in moved)
    trainer.save_model(str(tmp_path / "adapter"))
    base = AutoModelForCausalLM.from_pretrained(folder)
    loaded = dict(peft.PeftModel.from_pretrained(base, tmp_path / "adapter").named_parameters())
    assert all(torch.equal(loaded[name], after[name]) for name in moved)


def test_dpo_by_a_reference_is_dpo_by_its_log_probabilities(made, losses, folder):
    """The reference stays where it is while the weights go to and fro."""
    from transformers import AutoModelForCausalLM

    found = []
    for road in (Plain, OnTRL):
        reference = AutoModelForCausalLM.from_pretrained(folder)
        trainer = made(road, losses["dpo"], others={"ref_model": reference}, learning_rate=1e-4)
        trainer.train()
        found.append(_kept(trainer.model))
    asked = made(OnTRL, losses["dpo"], learning_rate=1e-4, precompute_ref_log_probs=True)
    asked.train()
    for other in (found[1], _kept(asked.model)):
        for name, weight in found[0].items():
            torch.testing.assert_close(weight, other[name], rtol=1e-4, atol=1e-5)


@ROADS
def test_a_batch_whose_loss_is_no_number_is_skipped_and_said(road, made, losses):
    def spoilt(w, l, rw, rl, gap, progress):  # noqa: E741
        return w * math.nan if progress == 0.25 else -w

    losses["fading"]._function = spoilt
    trainer = made(road, losses["fading"], logging_steps=1, learning_rate=1e-4)
    trainer.train()
    assert _logged(trainer, "slope/skipped") == [0.0, 1.0, 0.0, 0.0]
    assert len(_logged(trainer, "slope/change")) == 3
    assert [entry.number for entry in trainer.ledger.entries] == [0, 2, 3]
    assert all(torch.isfinite(weight).all() for weight in trainer.model.parameters())


@ROADS
def test_what_is_logged_and_evaluated_is_what_the_trainer_does(road, made, losses, rows):
    held_out = datasets.Dataset.from_list(rows[64:])
    how = {"eval_dataset": held_out, "perturbation": Perturbation(epsilon=1e-9)}
    trainer = made(road, losses["closed"], others=how)
    trainer.train()
    trainer.evaluate()
    for key in ("rewards/accuracies", "logps/chosen", "learning_rate"):
        assert len(_logged(trainer, key)) == 2
    assert len(_logged(trainer, "eval_rewards/accuracies")) == 1
    assert _logged(trainer, "grad_norm") == []
    assert min(_logged(trainer, "slope/equal")) > 0  # ε is below what float32 tells


@pytest.mark.sweep
def test_preferences_are_learnt(made, losses):
    trainer = made(
        Plain,
        losses["simpo"],
        learning_rate=1e-3,
        max_steps=40,
        logging_steps=10,
        per_device_train_batch_size=32,
    )
    trainer.train()
    said = _logged(trainer, "loss")
    assert said[-1] < 0.95 * said[0]


def test_what_cannot_be_trained_so_is_refused(made, losses, model):
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises(RequestError, match="pass none"):
        made(Plain, losses["closed"], others={"optimizers": (optimizer, None)})
    with pytest.raises(RequestError, match="no ledger before"):
        _ = made(Plain, losses["closed"]).ledger
    with pytest.raises(RequestError, match="nothing trains"):
        made(Plain, losses["closed"], model=model.requires_grad_(False)).train()
    with pytest.raises(RequestError, match="'epsilon' of the perturbation must be > 0"):
        Perturbation(epsilon=0.0)
