"""Rows, batches, and the losses of pairs that say nothing."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the [llm] extra")

from llm_transfer.trainers.collator import PreferenceCollator  # noqa: E402
from llm_transfer.trainers.likelihood import Likelihood  # noqa: E402
from llm_transfer.trainers.openrlhf import PairLossModule  # noqa: E402
from llm_transfer.trainers.pair_loss import Pairs, usable  # noqa: E402
from llm_transfer.trainers.pair_loss import losses as pair_losses  # noqa: E402
from llm_transfer.trainers.reference import with_reference  # noqa: E402
from llm_transfer.trainers.rows import prepare, tokenize  # noqa: E402
from mpo.errors import RequestError  # noqa: E402

pytestmark = [
    pytest.mark.llm,
    # torch warns of its own JIT on import in some builds of Python.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]


def _messages(prompt, answer):
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


def test_text_gets_an_end_and_the_prompt_is_cut_off(words):
    row = {"prompt": "tell two", "chosen": " it sleeps", "rejected": " it </s>"}
    found = tokenize(row, words)
    assert words.decode(found["prompt_ids"]) == "tell two"
    assert words.decode(found["chosen_ids"]) == "it sleeps </s>"
    assert words.decode(found["rejected_ids"]) == "it </s>"


def test_messages_and_text_of_the_same_words_are_the_same_tokens(words):
    text = {"prompt": "tell two", "chosen": " it sleeps", "rejected": " it waits"}
    talk = {
        "prompt": _messages("tell two", "")[:1],
        "chosen": _messages("", "it sleeps")[1:],
        "rejected": _messages("", "it waits")[1:],
    }
    implicit = {side: _messages("tell two", f"it {side}") for side in ("sleeps", "waits")}
    implicit = {"chosen": implicit["sleeps"], "rejected": implicit["waits"]}
    assert tokenize(text, words) == tokenize(talk, words) == tokenize(implicit, words)


def test_a_prompt_that_both_texts_begin_with_is_found(words):
    row = {"chosen": "tell two : it sleeps", "rejected": "tell two : it waits"}
    found = tokenize(row, words)
    assert words.decode(found["prompt_ids"]) == "tell two : it"
    assert words.decode(found["chosen_ids"]) == "sleeps </s>"


def test_batches_are_those_of_trl(words, rows):
    trl = pytest.importorskip("trl.trainer.dpo_trainer")
    tokens = prepare(rows[:5], words)
    for limit in (None, 30):
        theirs = trl.DataCollatorForPreference(pad_token_id=words.pad_token_id, max_length=limit)
        expected = theirs(tokens)
        found = PreferenceCollator.of(words, limit)(tokens)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_numbers_of_rows_reach_the_batch_only_if_every_row_has_them(words, rows):
    tokens = [
        {**row, "chosen_reward": 1.0, "rejected_reward": 0} for row in prepare(rows[:2], words)
    ]
    batch = PreferenceCollator.of(words)(tokens)
    assert batch["chosen_reward"].tolist() == [1.0, 1.0]
    del tokens[1]["chosen_reward"]
    assert "chosen_reward" not in PreferenceCollator.of(words)(tokens)


def test_rows_without_room_for_a_response_are_dropped_with_a_warning(words, rows):
    long = {"prompt": "tell " * 20, "chosen": " it", "rejected": " they"}
    with pytest.warns(UserWarning, match="1 of 3 rows dropped"):
        assert len(prepare([*rows[:2], long], words, 15)) == 2


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([{"prompt": "tell", "chosen": " it"}], "no column 'rejected'"),
        ([], "empty"),
        ([{"prompt": "tell " * 9, "chosen": " it", "rejected": " it"}], "no row is left"),
    ],
)
def test_rows_that_cannot_be_used_are_named(words, data, says):
    with pytest.raises(RequestError, match=says):
        prepare(data, words, 5)


def test_messages_need_a_template(words):
    words.chat_template = None
    row = {"chosen": _messages("tell", "it"), "rejected": _messages("tell", "they")}
    with pytest.raises(RequestError, match="chat template"):
        prepare([row], words)


def test_a_tokenizer_without_padding_pads_with_its_end(words, rows):
    words.pad_token = None
    assert PreferenceCollator.of(words).pad_token == words.eos_token_id
    words.eos_token = None
    with pytest.raises(RequestError, match="pad_token"):
        PreferenceCollator.of(words)


def _pairs(**changed):
    torch.manual_seed(0)
    whole = {"logp": -5 * torch.rand(4, 2), "length": torch.full((4, 2), 3)}
    return Pairs(**whole | changed)


@pytest.mark.parametrize(
    "fault",
    [
        {"length": torch.tensor([[3, 3], [0, 3], [3, 0], [0, 0]])},
        {"logp": torch.tensor([[-1.0, -2], [-torch.inf, -1], [-1, -torch.inf], [-torch.inf] * 2])},
        {
            "ref_logp": torch.tensor(
                [[-1.0, -2], [-torch.inf, -1], [-1, -torch.inf], [-1, torch.nan]]
            )
        },
    ],
)
@pytest.mark.sweep
def test_pairs_that_say_nothing_cost_nothing_and_pull_nowhere(losses, fault):
    pairs = _pairs(**{"ref_logp": torch.full((4, 2), -2.0)} | fault)
    logp = pairs.logp.clone().requires_grad_()
    each = pair_losses(losses["dpo"], pairs._replace(logp=logp), 0.0)
    slope = torch.autograd.grad(each.sum(), logp)[0]
    assert usable(pairs).tolist() == [True, False, False, False]
    assert each[0] > 0
    assert not each[1:].any()
    assert slope[0].all()
    assert not slope[1:].any()


def test_identical_responses_have_a_finite_loss_and_the_pulls_cancel(losses):
    logp = torch.full((2, 2), -3.0, requires_grad=True)
    each = pair_losses(losses["simpo"], Pairs(logp, torch.full((2, 2), 4)), 0.0)
    slope = torch.autograd.grad(each.sum(), logp)[0]
    assert torch.isfinite(each).all()
    assert torch.equal(slope[:, 0], -slope[:, 1])


@pytest.mark.parametrize(("name", "says"), [("dpo", "reference"), ("weighted", "rewards")])
def test_what_a_loss_needs_is_asked_for(losses, name, says):
    with pytest.raises(RequestError, match=f"needs.*{says}"):
        pair_losses(losses[name], _pairs(), 0.0)


def test_scores_are_those_of_each_response_alone(model, words, rows):
    """Padding, batching and the neighbour in the batch change nothing."""
    tokens, collate, score = prepare(rows[:4], words), PreferenceCollator.of(words), Likelihood()
    with torch.no_grad():
        together = score(model, collate(tokens))
        for i, row in enumerate(tokens):
            alone = score(model, collate([row]))
            for side in (0, 1):
                torch.testing.assert_close(
                    together.logp[i + 4 * side], alone.logp[side], rtol=1e-5, atol=1e-4
                )
    assert together.length.tolist() == [
        len(row[side]) for side in ("chosen_ids", "rejected_ids") for row in tokens
    ]


def _forced(model, words, rows, **settings):
    batch = PreferenceCollator.of(words)(prepare(rows[:6], words))
    scores = Likelihood(**settings)(model, batch)
    slopes = torch.autograd.grad(scores.logp.sum(), list(model.parameters()))
    return scores.logp, slopes


@pytest.mark.parametrize("settings", [{"budget": 500}, {"whole": True}])
def test_every_way_to_a_score_is_the_same_score(model, words, rows, settings):
    ways: tuple[dict[str, Any], ...] = (settings, {})
    (one, slopes), (other, same) = (_forced(model, words, rows, **s) for s in ways)
    torch.testing.assert_close(one, other)
    for a, b in zip(slopes, same, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_a_model_that_changes_its_logits_afterwards_is_found_out(model, words, rows):
    """Like Gemma 2's cap: scores must be of the capped logits."""
    forward = model.forward

    def capped(*args, **settings):
        out = forward(*args, **settings)
        out.logits = 2.0 * torch.tanh(out.logits / 2.0)
        return out

    batch = PreferenceCollator.of(words)(prepare(rows[:4], words))
    plain = Likelihood()(model, batch).logp
    model.forward = capped
    score = Likelihood()
    expected = score.with_outputs(model, batch)[0].logp
    for _ in range(2):  # when it is found out, and when it is known
        torch.testing.assert_close(score(model, batch).logp, expected)
    assert (expected - plain).abs().min() > 1e-2


def test_reference_columns_are_the_scores_of_the_model(model, words, rows):
    collate = PreferenceCollator.of(words)
    tokens = with_reference(prepare(rows[:5], words), model, collate, batch_size=2)
    batch = collate(tokens)
    found = torch.cat([batch["ref_chosen_logps"], batch["ref_rejected_logps"]])
    with torch.no_grad():
        torch.testing.assert_close(found, Likelihood()(model, batch).logp, rtol=1e-5, atol=1e-4)


def test_openrlhf_module_returns_loss_and_both_rewards(losses):
    w, l, rw, rl = torch.randn(4, 6)  # noqa: E741
    loss, chosen, rejected = PairLossModule(losses["dpo"])(w, l, rw, rl)
    torch.testing.assert_close(chosen, w - rw)
    torch.testing.assert_close(rejected, l - rl)
    expected = -torch.nn.functional.logsigmoid(0.5 * (chosen - rejected)).mean()
    torch.testing.assert_close(loss, expected)


def test_openrlhf_module_takes_means_or_lengths(losses):
    w, l, n, m = -6.0 * torch.rand(4, 6)  # noqa: E741
    n, m = (-n).ceil(), (-m).ceil()
    by_length = PairLossModule(losses["simpo"])(w, l, chosen_length=n, rejected_length=m)
    by_means = PairLossModule(losses["simpo"], means=True)(w / n, l / m)
    both = PairLossModule(losses["simpo"], means=True)(
        w / n, l / m, chosen_length=n, rejected_length=m
    )
    for one, *others in zip(by_length, by_means, both, strict=True):
        for other in others:
            torch.testing.assert_close(one, other)
    with pytest.raises(RequestError, match="divides by length"):
        PairLossModule(losses["simpo"])(w, l)
    with pytest.raises(RequestError, match="summed"):
        PairLossModule(losses["dpo"], means=True)


def test_openrlhf_module_counts_the_batches_of_a_training(losses):
    w, l = -6.0 * torch.rand(2, 6)  # noqa: E741
    counting = PairLossModule(losses["fading"], means=True, progress=4)
    for _ in range(2):
        counting(w, l)
        with torch.no_grad():
            counting(w, l)  # an evaluation
    for _ in range(4):
        counting(w, l)
    seen = [x.progress for x in losses["fading"].seen]
    assert seen == [0.0, 0.25, 0.25, 0.5, 0.5, 0.75, 1.0, 1.0]
    told = PairLossModule(losses["fading"], means=True, progress=lambda: 0.4)
    told(w, l)
    assert losses["fading"].seen[-1].progress == 0.4


@pytest.mark.parametrize(("name", "says"), [("weighted", "needs rewards"), ("fading", "progress")])
def test_openrlhf_module_refuses_what_it_cannot_serve(losses, name, says):
    with pytest.raises(RequestError, match=says):
        PairLossModule(losses[name], means=True)
