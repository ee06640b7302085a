"""Bad input by either trainer, under real objectives: a clear error, or a defined value."""

import pytest

torch = pytest.importorskip("torch", reason="needs the [llm] extra")
datasets = pytest.importorskip("datasets", reason="needs the [llm] extra")
trl = pytest.importorskip("trl", reason="needs the [llm] extra")

from llm_transfer.trainers import MPOTrainer, PreferenceTrainer  # noqa: E402
from mpo.errors import RequestError  # noqa: E402

pytestmark = [
    pytest.mark.llm,
    pytest.mark.filterwarnings("ignore:.(is_)?gradient_checkpointing. is deprecated:FutureWarning"),
]


def _plain(model, words, rows, settings, loss, length=None, **others):
    return PreferenceTrainer(
        model,
        loss,
        settings(),
        train_dataset=rows,
        processing_class=words,
        max_length=length,
        **others,
    )


def _on_trl(model, words, rows, settings, loss, length=None, **others):
    return MPOTrainer(
        model,
        loss=loss,
        args=settings(trl.DPOConfig, max_length=length),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=words,
        **others,
    )


ROADS = pytest.mark.parametrize("road", [_plain, _on_trl])


def _skipped(trainer):
    return [line["pairs/skipped"] for line in trainer.state.log_history if "pairs/skipped" in line]


def _whole(model):
    return all(torch.isfinite(weight).all() for weight in model.parameters())


@ROADS
def test_rows_that_are_all_cut_off_are_refused(model, words, rows, settings, road):
    """Prompts have 12 tokens: with room for 12, no response is left."""
    with pytest.raises(RequestError, match=r"no row is left.*12; raise max_length"):
        road(model, words, rows[:32], settings, "orpo", length=12)


@ROADS
@pytest.mark.filterwarnings("ignore:16 of 32 rows dropped")
def test_rows_that_are_cut_off_change_nothing(folder, words, rows, settings, road):
    """Among those that are not, in batches of either kind."""
    from transformers import AutoModelForCausalLM

    prompt = rows[0]["prompt"] + " tell" * 50
    long = [{**row, "prompt": prompt} for row in rows[16:32]]
    kept = []
    for data in (rows[:16], rows[:16] + long):
        model = AutoModelForCausalLM.from_pretrained(folder)
        trainer = road(model, words, data, settings, "orpo", length=60)
        trainer.train()
        kept.append(list(trainer.model.parameters()))
    for one, other in zip(*kept, strict=True):
        torch.testing.assert_close(one, other)


@ROADS
@pytest.mark.parametrize("loss", ["orpo", "ipo", "found/bandit-shuffled"])
def test_empty_and_identical_responses_leave_finite_weights(
    model, words, rows, settings, road, loss
):
    empty = [{**row, "chosen": ""} for row in rows[:16]]
    same = [{**row, "chosen": row["rejected"]} for row in rows[16:32]]
    reference = {"ref_model": _copy(model)} if loss == "ipo" else {}
    trainer = road(model, words, empty + same, settings, loss, **reference)
    trainer.train()
    assert _skipped(trainer) == [0.0]  # the end of text is a response of one token
    assert _whole(trainer.model)


def _copy(model):
    import copy

    return copy.deepcopy(model)


@ROADS
def test_a_tokenizer_without_padding_pads_with_its_end(model, words, rows, settings, road):
    words.pad_token = None
    trainer = road(model, words, rows[:32], settings, "orpo")
    trainer.train()
    assert _skipped(trainer) == [0.0]
    assert _whole(trainer.model)


@ROADS
@pytest.mark.parametrize("column", ["chosen", "rejected"])
def test_a_column_that_is_missing_is_named(model, words, rows, settings, road, column):
    less = [{k: v for k, v in row.items() if k != column} for row in rows[:8]]
    with pytest.raises(RequestError, match=f"no column '{column}'"):
        road(model, words, less, settings, "orpo")


def test_a_reference_that_is_missing_is_asked_for_before_a_step(model, words, rows, settings):
    trainer = _plain(model, words, rows[:16], settings, "dpo")
    with pytest.raises(RequestError, match="objective 'dpo' needs a reference model"):
        trainer.train()
    assert trainer.state.global_step == 0


@ROADS
def test_rewards_that_are_missing_are_asked_for(model, words, rows, settings, road):
    trainer = road(model, words, rows[:16], settings, "wdpo", ref_model=_copy(model))
    with pytest.raises(RequestError, match="objective 'wdpo' needs rewards"):
        trainer.train()
