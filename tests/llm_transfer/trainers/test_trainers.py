"""Trainings under hand-written losses: the same weights by every road, and what goes wrong."""

import pytest

torch = pytest.importorskip("torch", reason="needs the [llm] extra")
datasets = pytest.importorskip("datasets", reason="needs the [llm] extra")
peft = pytest.importorskip("peft", reason="needs the [llm] extra")
trl = pytest.importorskip("trl", reason="needs the [llm] extra")

from llm_transfer.trainers import MPOTrainer, PreferenceTrainer  # noqa: E402
from llm_transfer.trainers.collator import PreferenceCollator  # noqa: E402
from llm_transfer.trainers.likelihood import Likelihood  # noqa: E402
from llm_transfer.trainers.reference import with_reference  # noqa: E402
from llm_transfer.trainers.rows import prepare  # noqa: E402
from mpo.errors import RequestError  # noqa: E402

pytestmark = [
    pytest.mark.llm,
    # The name that every supported version knows; transformers 5.2x has a second one.
    pytest.mark.filterwarnings("ignore:.(is_)?gradient_checkpointing. is deprecated:FutureWarning"),
]
DPO_KEYS = (
    "rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins",
    "logps/chosen", "logps/rejected",
)  # fmt: skip


@pytest.fixture
def held_out(words, rows):
    batch = PreferenceCollator.of(words)(prepare(rows[-32:], words))

    def scores(model):
        model.eval()
        with torch.no_grad():
            return Likelihood()(model, batch).logp

    return scores


@pytest.fixture
def plain(words, rows, settings):
    def train(model, loss, data=None, args=None, **others):
        trainer = PreferenceTrainer(
            model,
            loss,
            args or settings(),
            train_dataset=rows[:64] if data is None else data,
            processing_class=words,
            **others,
        )
        trainer.train()
        return trainer

    return train


@pytest.fixture
def on_trl(words, rows, settings):
    def train(model, loss, data=None, args=None, **others):
        trainer = MPOTrainer(
            model,
            loss=loss,
            args=args or settings(trl.DPOConfig),
            train_dataset=datasets.Dataset.from_list(rows[:64] if data is None else data),
            processing_class=words,
            **others,
        )
        trainer.train()
        return trainer

    return train


@pytest.fixture
def lora():
    return peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")


def _history(trainer, key):
    return [line[key] for line in trainer.state.log_history if key in line]


@pytest.mark.parametrize("name", ["dpo", "simpo", "closed", "fading"])
@pytest.mark.sweep
def test_both_trainers_give_the_same_weights(folder, losses, plain, on_trl, held_out, name):
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained
    reference = {"ref_model": loaded(folder)} if name == "dpo" else {}
    before = held_out(loaded(folder))
    one = held_out(plain(loaded(folder), losses[name], **reference).model)
    other = held_out(on_trl(loaded(folder), losses[name]).model)
    assert (one - before).abs().max() > 0.1
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


def test_four_batches_of_four_are_one_of_sixteen(folder, losses, plain, on_trl, settings, held_out):
    for train, kind in ((plain, None), (on_trl, trl.DPOConfig)):
        made = (lambda k: lambda **s: settings(**s) if k is None else settings(k, **s))(kind)
        whole = held_out(train(_load(folder), losses["simpo"], args=made()).model)
        parts = made(per_device_train_batch_size=4, gradient_accumulation_steps=4)
        torch.testing.assert_close(
            held_out(train(_load(folder), losses["simpo"], args=parts).model),
            whole,
            rtol=1e-5,
            atol=1e-4,
        )


def _load(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize("adapter", ["none", "new", "loaded"])
@pytest.mark.parametrize("precomputed", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_dpo_by_any_reference_is_the_dpo_of_trl(
    folder, words, rows, losses, settings, lora, adapter, precomputed
):
    """Evaluation loss and metrics before and after a training, against the shipped trainer."""
    found = []
    for kind, extra in (
        (trl.DPOTrainer, {}),
        (MPOTrainer, {"loss": losses["dpo"]}),
        (PreferenceTrainer, {"loss": losses["dpo"]}),
    ):
        if kind is PreferenceTrainer:
            if precomputed or adapter == "none":
                continue
            args = settings()
        else:
            args = settings(trl.DPOConfig, beta=0.5, precompute_ref_log_probs=precomputed)
        data = {
            "train_dataset": datasets.Dataset.from_list(rows[:64]),
            "eval_dataset": datasets.Dataset.from_list(rows[64:]),
        }
        model = _load(folder)
        if adapter == "loaded":  # one that has been trained before is the reference itself
            model = _with_adapter(folder, lora)
        trainer = kind(
            model,
            args=args,
            processing_class=words,
            peft_config=lora if adapter == "new" else None,
            **data,
            **extra,
        )
        trainer.train()
        trainer.evaluate()
        found.append(trainer.state.log_history[-1])
    theirs, *all_ours = found
    for ours in all_ours:
        assert ours["eval_loss"] == pytest.approx(theirs["eval_loss"], abs=1e-6)
        assert ours["eval_rewards/accuracies"] == theirs["eval_rewards/accuracies"]
        for key in DPO_KEYS[4:]:
            assert ours[f"eval_{key}"] == pytest.approx(theirs[f"eval_{key}"], rel=1e-5)
        # TRL's rewards are scaled by beta, which a general loss does not have.
        assert 0.5 * ours["eval_rewards/margins"] == pytest.approx(
            theirs["eval_rewards/margins"], rel=1e-3, abs=1e-5
        )


def _with_adapter(folder, lora, dropout=0.0):
    """Return a model with an adapter that has been trained before."""
    torch.manual_seed(0)
    lora.init_lora_weights, lora.lora_dropout = False, dropout
    return peft.get_peft_model(_load(folder), lora)


def _first_loss(trainer):
    return trainer.state.log_history[0]["loss"]


LOG_2 = pytest.approx(0.693147, abs=1e-4)  # of DPO where policy and reference are the same


@pytest.mark.parametrize("road", ["plain", "on_trl"])
def test_a_loaded_adapter_starts_as_its_own_reference(
    request, folder, losses, settings, lora, road
):
    kinds = {} if road == "plain" else {"kind": trl.DPOConfig}
    model = _with_adapter(folder, lora, dropout=0.3)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    args = settings(**kinds, logging_steps=1)
    trainer = request.getfixturevalue(road)(model, losses["dpo"], args=args)
    assert _first_loss(trainer) == LOG_2
    after = dict(trainer.model.named_parameters())
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all("lora" in name for name in moved)
    for name in moved:
        copy = after[name.replace(".default.", ".ref.")]
        assert not copy.requires_grad
        assert torch.equal(copy, before[name])


def test_dropout_is_off_in_policy_and_reference(words, rows, losses, settings, plain):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=len(words), n_embd=32, n_layer=1, n_head=2, n_positions=128,
        eos_token_id=words.eos_token_id, bos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    model, reference = GPT2LMHeadModel(config), GPT2LMHeadModel(config)
    reference.load_state_dict(model.state_dict())
    assert reference.training
    trainer = plain(model, losses["dpo"], args=settings(logging_steps=1), ref_model=reference)
    assert _first_loss(trainer) == LOG_2


def test_a_loss_without_reference_loads_none(folder, words, rows, losses, settings, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a reference was loaded")

    monkeypatch.setattr("trl.trainer.dpo_trainer.create_model_from_path", refuse)
    trainer = MPOTrainer(
        _load(folder),
        loss=losses["simpo"],
        args=settings(trl.DPOConfig),
        train_dataset=datasets.Dataset.from_list(rows[:32]),
        processing_class=words,
    )
    assert trainer.ref_model is None
    trainer.train()
    fresh = trainer.evaluate(datasets.Dataset.from_list(rows[32:48]))
    assert 0 < fresh["eval_loss"] < 10


def test_metrics_are_logged_while_training_and_evaluating(model, losses, on_trl, plain, rows):
    rows_of = {on_trl: datasets.Dataset.from_list, plain: list}
    for train, made in rows_of.items():
        trainer = train(model, losses["closed"], eval_dataset=made(rows[64:]))
        trainer.evaluate()
        for key in (*DPO_KEYS, "pairs/skipped"):
            assert len(_history(trainer, key)) == 2  # four steps, logged every second
            assert len(_history(trainer, f"eval_{key}")) == 1
        assert all(0 <= x <= 1 for x in _history(trainer, "rewards/accuracies"))


def test_a_temporal_loss_sees_the_progress_of_the_training(model, losses, plain, on_trl, folder):
    for train in (plain, on_trl):
        losses["fading"].seen.clear()
        train(_load(folder), losses["fading"])
        assert [x.progress for x in losses["fading"].seen] == [0.0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize("road", ["plain", "on_trl"])
def test_rewards_of_rows_reach_the_loss(request, folder, losses, rows, settings, road):
    rated = [{**row, "chosen_reward": 2.0, "rejected_reward": 0.5} for row in rows[:32]]
    request.getfixturevalue(road)(_load(folder), losses["weighted"], rated)
    assert all((x.gap == 1.5).all() for x in losses["weighted"].seen)
    with pytest.raises(RequestError, match="chosen_reward"):
        request.getfixturevalue(road)(_load(folder), losses["weighted"], rows[:32])


@pytest.mark.filterwarnings("ignore:The .'keep_end'. truncation mode:FutureWarning")
def test_batches_with_rewards_are_those_that_trl_is_asked_for(folder, losses, rows, settings):
    """Cut off at the start, padded to a multiple; the tokenizer is the one the model comes with."""
    rated = [{**row, "chosen_reward": 2.0, "rejected_reward": 0.5} for row in rows[:16]]
    asked = {"max_length": 20, "truncation_mode": "keep_end", "pad_to_multiple_of": 8}
    found = []
    for kind, extra in ((trl.DPOTrainer, {}), (MPOTrainer, {"loss": losses["weighted"]})):
        args = settings(trl.DPOConfig, **asked)
        data = datasets.Dataset.from_list(rated)
        trainer = kind(folder, args=args, train_dataset=data, **extra)
        found.append(trainer.data_collator([trainer.train_dataset[i] for i in range(4)]))
    theirs, ours = found
    assert ours["chosen_reward"].tolist() == [2.0] * 4
    assert ours["rejected_reward"].tolist() == [0.5] * 4
    assert theirs["input_ids"].shape == (8, 24)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    trainer.train()
    assert (losses["weighted"].seen[0].gap == 1.5).all()


def test_an_adapter_is_its_own_reference_and_alone_is_trained(folder, losses, plain, lora, rows):
    trainer = plain(_load(folder), losses["dpo"], peft_config=lora)
    first = _history(trainer, "rewards/margins")[0]
    trained = {name for name, p in trainer.model.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora" in name for name in trained)
    untouched = _load(folder).state_dict()
    kept = trainer.model.unload().state_dict()
    assert all(torch.equal(kept[name], untouched[name]) for name in untouched)
    assert abs(first) < 0.5  # the policy starts as its own reference


def test_reference_columns_do_without_a_reference(folder, words, rows, losses, plain, held_out):
    collate = PreferenceCollator.of(words)
    tokens = with_reference(prepare(rows[:64], words), _load(folder), collate)
    by_rows = held_out(plain(_load(folder), losses["dpo"], tokens).model)
    by_model = held_out(plain(_load(folder), losses["dpo"], ref_model=_load(folder)).model)
    torch.testing.assert_close(by_rows, by_model, rtol=1e-5, atol=1e-4)
    with pytest.raises(RequestError, match="needs a reference"):
        plain(_load(folder), losses["dpo"])


def test_conversations_train_as_their_texts_do(folder, losses, rows, plain, on_trl, held_out):
    def talk(row):
        said = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
        return {name: [{"role": role, "content": row[name].strip()}] for name, role in said.items()}

    for train in (plain, on_trl):
        one = held_out(train(_load(folder), losses["closed"]).model)
        other = held_out(train(_load(folder), losses["closed"], [*map(talk, rows[:64])]).model)
        torch.testing.assert_close(one, other)


def test_rows_of_identical_and_of_empty_responses_leave_finite_weights(model, losses, plain, words):
    same = {"prompt": "tell two", "chosen": " it sleeps", "rejected": " it sleeps"}
    tokens = [*prepare([same] * 8, words)]
    tokens += [{**tokens[0], "chosen_ids": []}] * 8
    trainer = plain(model, losses["closed"], tokens)
    assert all(torch.isfinite(p).all() for p in trainer.model.parameters())
    assert _history(trainer, "pairs/skipped") == [0.5]
    trainer.evaluate(tokens[8:])
    assert _history(trainer, "eval_pairs/skipped") == [1.0]
    assert _history(trainer, "eval_loss") == [0.0]


def test_impossible_tokens_are_skipped_not_learned_from(folder, losses, plain, words, rows):
    """A model that gives one word probability zero: pairs with it say nothing."""
    model = _load(folder)
    word = words.convert_tokens_to_ids("sleeps")
    bias = torch.zeros(len(words))
    bias[word] = -torch.inf
    model.lm_head = torch.nn.Linear(32, len(words))
    model.lm_head.bias = torch.nn.Parameter(bias, requires_grad=False)
    trainer = plain(model, losses["closed"])
    assert 0 < _history(trainer, "pairs/skipped")[-1] < 1
    weights = [p for p in trainer.model.parameters() if p.requires_grad]
    assert all(torch.isfinite(p).all() for p in weights)


def test_a_training_that_diverges_ends_with_a_word_and_not_with_nan_weights(
    folder, losses, plain, settings
):
    model = _load(folder)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight[0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match="step 0: the training has diverged"):
        plain(model, losses["closed"])


def test_a_trainer_without_a_loss_or_columns_says_so(model, words, rows, settings):
    args, data = settings(trl.DPOConfig), datasets.Dataset.from_list(rows[:16])
    with pytest.raises(RequestError, match="needs a loss"):
        MPOTrainer(model, args=args, train_dataset=data, processing_class=words)
    data = data.rename_column("rejected", "worse")
    with pytest.raises(RequestError, match="no column 'rejected'"):
        MPOTrainer(model, args=args, train_dataset=data, processing_class=words, loss="orpo")


def test_a_subclass_may_bring_its_loss(model, words, rows, losses, settings):
    """What launchers need that build the trainer themselves."""

    class Ours(MPOTrainer):
        loss = losses["simpo"]

    data = datasets.Dataset.from_list(rows[:16])
    trainer = Ours(model, args=settings(trl.DPOConfig), train_dataset=data, processing_class=words)
    assert trainer.pair_loss is losses["simpo"]


@pytest.mark.parametrize("road", ["plain", "on_trl"])
def test_half_precision_stays_close_and_needs_no_whole_logits(
    request, folder, losses, settings, held_out, road
):
    train = request.getfixturevalue(road)
    kinds = {} if road == "plain" else {"kind": trl.DPOConfig}
    whole = held_out(train(_load(folder), losses["closed"], args=settings(**kinds)).model)
    trainer = train(_load(folder), losses["closed"], args=settings(**kinds, bf16=True))
    assert list(trainer._likelihood._plain.values()) == [True]
    trainer.model.float()
    torch.testing.assert_close(held_out(trainer.model), whole, rtol=0.02, atol=0.5)


def test_logits_reach_a_metric_of_the_users(model, losses, plain, rows):
    seen = []

    def shapes(prediction):
        seen.append((prediction.predictions.shape[:2], prediction.label_ids.shape))
        return {"mine": 1.0}

    trainer = plain(model, losses["closed"], eval_dataset=rows[64:80], compute_metrics=shapes)
    assert trainer.evaluate()["eval_mine"] == 1.0
    assert seen[0][0] == seen[0][1]
