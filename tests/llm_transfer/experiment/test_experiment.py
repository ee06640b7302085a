"""The experiment as a whole: cells, what is resumed, what is chosen, what the fault does."""

import dataclasses
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the [llm] extra")

import mpo  # noqa: E402
from discovery.cli import main  # noqa: E402
from llm_transfer import language  # noqa: E402
from llm_transfer.experiment import study  # noqa: E402
from llm_transfer.experiment.judges import judge, reward_model  # noqa: E402
from llm_transfer.experiment.lab import Lab  # noqa: E402
from llm_transfer.experiment.ledger import BASE, TEST, TUNE, Cell, Ledger, Result, read  # noqa: E402
from llm_transfer.experiment.measure import measured, win_rate  # noqa: E402
from llm_transfer.experiment.routes import ROUTES, finetuned  # noqa: E402
from llm_transfer.experiment.sampling import logps, said, sample  # noqa: E402
from llm_transfer.experiment.settings import (  # noqa: E402
    TRAINERS,
    Settings,
    named,
    objective_and_settings,
)
from llm_transfer.experiment.sources import (  # noqa: E402
    load,
    relabelled,
    replaced,
)
from llm_transfer.experiment.table import markdown, summary  # noqa: E402
from llm_transfer.snippets.torch_loss import torch_loss  # noqa: E402
from mpo.claim import locked  # noqa: E402
from mpo.errors import RequestError  # noqa: E402

pytestmark = [
    pytest.mark.llm,
    # Of transformers 5.2x, where peft reads the name that every supported version knows.
    pytest.mark.filterwarnings("ignore:.(is_)?gradient_checkpointing. is deprecated:FutureWarning"),
]
TUNED = {"learning_rate": None, "tune": (1e-4, 1e-2), "tune_seeds": 1}


@pytest.mark.sweep
def test_an_experiment_has_its_cells_and_its_table(settings, tmp_path):
    chosen, seen = settings(shuffled=0.5), []
    ledger = study.run(chosen, tmp_path, lambda done, total, r: seen.append((done, total, r.cell)))
    assert [(done, total) for done, total, _ in seen] == [(i, 6) for i in range(1, 7)]
    assert Counter(cell.objective for *_, cell in seen) == {BASE: 2, "orpo": 2, "dpo": 2}
    found = summary(chosen, ledger)
    assert list(found["rows"]) == [BASE, "orpo", "dpo"]
    for row in found["rows"].values():
        assert row["seeds"] == 2
        assert row["diverged"] == 0
        assert {"accuracy", "margin", "kl", "length", "reward", "win_rate"} <= set(row["metrics"])
    base = found["rows"][BASE]["metrics"]
    assert base["kl"]["mean"] == 0.0
    assert base["win_rate"]["mean"] == base["ratio_accuracy"]["mean"] == 0.5
    assert found["rows"]["orpo"]["metrics"]["accuracy"]["difference"]["mean"] == 0.0
    assert json.loads(json.dumps(found)) == found
    assert "| dpo " in markdown(found)


def test_interrupted_and_continued_is_uninterrupted(settings, tmp_path, monkeypatch):
    """Broken off in the fourth cell, with half a line written; then with one more seed."""
    whole = study.run(settings(), tmp_path / "whole")
    real, calls = study._result, []

    def breaking(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    folder = tmp_path / "broken"
    with monkeypatch.context() as patch:
        patch.setattr(study, "_result", breaking)
        with pytest.raises(KeyboardInterrupt):
            study.run(settings(), folder)
    with (folder / "results.jsonl").open("a") as file:
        file.write('{"stage": "test", "obj')
    seen = []
    study.run(settings(), folder, lambda *line: seen.append(line[2].cell))
    assert len(seen) == 3
    results = {result.cell: result.metrics for result in read(folder / "results.jsonl")}
    assert results == {cell: result.metrics for cell, result in whole.results.items()}
    seen.clear()
    study.run(
        settings(seeds=3, objectives=("orpo",)), folder, lambda *line: seen.append(line[2].cell)
    )
    assert {(cell.objective, cell.seed) for cell in seen} == {(BASE, 2), ("orpo", 2)}


def test_a_folder_of_another_experiment_is_refused(settings, tmp_path):
    Ledger(tmp_path, settings())
    with pytest.raises(RequestError, match=r"another experiment .*rows: 47, was 48"):
        Ledger(tmp_path, settings(rows=47))
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(RequestError, match=r"settings.json cannot be read"):
        Ledger(tmp_path, settings())


def test_results_stand_for_the_objective_that_they_were_made_with(settings, tmp_path, monkeypatch):
    """A run's folder that is replaced, or rows in a file that change, are something else."""
    monkeypatch.setattr(study, "finetuned", lambda lab, loss, rows, rate, seed: None)
    monkeypatch.setattr(study, "measured", lambda *_: {"reward": 0.5})
    run, data, out = tmp_path / "run", tmp_path / "rows.jsonl", tmp_path / "out"
    _file(data, _rows(60)[0])
    mpo.save(mpo.objective("dpo", beta=0.1), run)
    chosen = settings(objectives=(str(run),), data=str(data), seeds=1)
    first = study.run(chosen, out)
    assert len(study.run(chosen, out).results) == len(first.results)
    mpo.save(mpo.objective("dpo", beta=0.2), run)
    with pytest.raises(RequestError, match=f"results of objective {run} as it was before"):
        study.run(chosen, out)
    mpo.save(mpo.objective("dpo", beta=0.1), run)
    _file(data, _rows(61)[0])
    with pytest.raises(RequestError, match=f"results of data {data} as it was before"):
        study.run(chosen, out)
    _file(data, _rows(60)[0])
    with_more = dataclasses.replace(chosen, objectives=(str(run), "orpo"))
    assert len(study.run(with_more, out).results) == len(first.results) + 1


def test_a_second_process_in_the_folder_is_refused(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "finetuned", lambda *_: None)
    monkeypatch.setattr(study, "measured", lambda *_: {"reward": 0.5})
    with locked(tmp_path), pytest.raises(RequestError, match="another process"):
        study.run(settings(), tmp_path)
    assert not (tmp_path / "results.jsonl").exists()
    assert len(study.run(settings(), tmp_path).results) == 6


def test_a_folder_from_before_there_were_digests_is_continued(tmp_path):
    published = Path(__file__).parents[3] / "docs" / "results" / "language-model" / "clean"
    folder = shutil.copytree(published, tmp_path / "clean")
    about = json.loads((folder / "settings.json").read_text())
    old = Settings(tune=(3e-5, 1e-4, 3e-4, 1e-3, 3e-3), **about)
    ledger = Ledger(folder, old, {"objective orpo": "a"})
    assert len(ledger.results) == len(read(published / "results.jsonl")) > 100
    with pytest.raises(RequestError, match="results of objective orpo as it was"):
        Ledger(folder, old, {"objective orpo": "b"})


def test_learning_rates_are_chosen_on_other_seeds_and_rows(settings, tmp_path, monkeypatch):
    used = []

    def measured_by_rate(lab, model, split, seed):
        used.append((split, seed))
        return {"reward": -abs(model - 1e-2) if isinstance(model, float) else 0.0}

    monkeypatch.setattr(study, "measured", measured_by_rate)
    monkeypatch.setattr(study, "finetuned", lambda lab, loss, rows, rate, seed: rate)
    chosen = settings(**TUNED)
    ledger = study.run(chosen, tmp_path)
    assert study.chosen_rate(chosen, ledger, "orpo") == 1e-2
    tuning = [(split, seed) for split, seed in used if split == "validation"]
    report = [(split, seed) for split, seed in used if split == "test"]
    assert len(tuning) == 2 * 2
    assert len(report) == 3 * 2
    assert {seed for _, seed in tuning}.isdisjoint(seed for _, seed in report)
    found = summary(chosen, ledger)
    assert "best of 2 by reward" in found["learning_rate"]
    assert found["rows"]["orpo"]["validation"] == 0.0
    assert found["rows"]["orpo"]["edge"]
    assert "| 0.01 (edge)" in markdown(found)
    wider = dataclasses.replace(chosen, tune=(1e-4, 1e-2, 1e-1))
    assert not summary(wider, study.run(wider, tmp_path))["rows"]["orpo"]["edge"]
    assert found["rows"][BASE]["validation"] is None


def test_a_rate_that_diverges_is_not_chosen_and_is_counted(settings, tmp_path, monkeypatch):
    def diverging(lab, loss, rows, rate, seed):
        if rate == 1e-2 or seed == 1:
            raise FloatingPointError("diverged")
        return rate

    monkeypatch.setattr(study, "measured", lambda *_: {"reward": 0.5})
    monkeypatch.setattr(study, "finetuned", diverging)
    chosen = settings(**TUNED)
    ledger = study.run(chosen, tmp_path)
    assert study.chosen_rate(chosen, ledger, "dpo") == 1e-4
    row = summary(chosen, ledger)["rows"]["dpo"]
    assert (row["seeds"], row["diverged"]) == (2, 1)
    assert row["metrics"]["reward"]["mean"] == 0.5
    assert "2, 1 diverged" in markdown(summary(chosen, ledger))


@pytest.mark.sweep
def test_both_trainers_train_the_same_model(settings, tmp_path):
    found = [
        study.run(settings(trainer=name, seeds=1, shuffled=0.5), tmp_path / name).results
        for name in ("transformers", "trl")
    ]
    for cell, result in found[0].items():
        same = found[1][cell].metrics
        for metric in ("accuracy", "margin", "ratio_margin"):
            assert result.metrics[metric] == pytest.approx(same[metric], rel=1e-3, abs=1e-4)


def test_an_adapter_is_trained_in_place_of_the_weights(settings, tmp_path):
    chosen = settings(lora=4, objectives=("orpo",), seeds=1, learning_rate=2e-2)
    ledger = study.run(chosen, tmp_path)
    metrics = ledger.results[Cell(TEST, "orpo", 0, 2e-2)].metrics
    assert metrics["kl"] != 0.0
    lab = Lab(chosen, tmp_path)
    trained = finetuned(lab, torch_loss("orpo"), lab.splits.train, 2e-2, 0)
    assert all("lora_" in name for name, p in trained.named_parameters() if p.requires_grad)
    moved = [p for name, p in trained.named_parameters() if "lora_B" in name]
    assert all(p.any() for p in moved)  # it starts at zero
    before, kept = lab.base.state_dict(), trained.unload().state_dict()
    assert moved
    assert all(torch.equal(kept[name], before[name]) for name in before)


def _rows(count=40):
    rows = language.preferences(count, "train")
    return rows, [(f"weak {i} a", f"weak {i} b") for i in range(count)]


def test_exactly_the_share_is_replaced_at_random_on_both_sides():
    rows, weak = _rows()
    kept = json.dumps(rows)
    found = replaced(rows, weak, 0.5, seed=0)
    hit = [
        (i, s) for i, row in enumerate(found) for s in ("chosen", "rejected") if "weak" in row[s]
    ]
    assert len(hit) == 40
    assert 8 < sum(side == "chosen" for _, side in hit) < 32
    assert all(found[i][side] == weak[i][side == "rejected"] for i, side in hit)
    assert found == replaced(rows, weak, 0.5, seed=0) != replaced(rows, weak, 0.5, seed=1)
    assert json.dumps(rows) == kept
    assert replaced(rows, weak, 0.0, seed=0) == rows


def test_a_measured_reward_does_not_stay_with_another_response():
    rows = [{"prompt": "p", "chosen": "c", "rejected": "r", "chosen_reward": 1.0}]
    assert replaced(rows, [("a", "b")], 1.0, 0) == [{"prompt": "p", "chosen": "a", "rejected": "b"}]


def test_relabelled_pairs_are_right_by_the_judge():
    rows, _ = _rows()
    wrong = [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in rows]
    truth = judge("language", torch.device("cpu"))
    assert truth is not None
    mixed = [*wrong[:20], *rows[20:]]
    assert relabelled(mixed, truth) == rows


@pytest.mark.parametrize("rated", [("chosen", "rejected"), ("chosen",), ("rejected",)])
def test_a_reward_goes_with_its_response_where_pairs_are_relabelled(rated):
    row = {"prompt": "p", "chosen": "bad", "rejected": "good"}
    worth = {"bad": 1.0, "good": 2.0}
    row |= {f"{side}_reward": worth[row[side]] for side in rated}
    (found,) = relabelled([row], lambda _, responses: [worth[one] for one in responses])
    assert (found["chosen"], found["rejected"]) == ("good", "bad")
    rewards = {name: value for name, value in found.items() if name.endswith("_reward")}
    assert len(rewards) == len(rated)
    assert all(
        value == worth[found[name.removesuffix("_reward")]] for name, value in rewards.items()
    )


def test_a_draw_counts_half():
    assert win_rate([1.0, 0.0, 0.5, 2.0], [0.0, 1.0, 0.5, 2.0]) == 0.5


def test_samples_do_not_depend_on_the_batch_they_are_drawn_in_but_for_the_seed(settings, tmp_path):
    lab = Lab(settings(), tmp_path)
    prompts = lab.prompts("test")
    state = torch.random.get_rng_state()
    drawn = [sample(lab.base, lab.tokenizer, prompts, seed, lab.sampler) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(1 <= len(tokens) <= 40 for tokens in drawn[0])
    sooner = dataclasses.replace(lab.sampler, stop=".")
    for whole, cut in zip(
        drawn[0], sample(lab.base, lab.tokenizer, prompts, 0, sooner), strict=True
    ):
        at = next((i for i, x in enumerate(whole) if x in sooner.ends(lab.tokenizer)), len(whole))
        assert cut == whole[: at + 1]
    with pytest.raises(RequestError, match="no token 'end' to stop at"):
        dataclasses.replace(lab.sampler, stop="end").ends(lab.tokenizer)
    ends = [tokens.count(lab.tokenizer.eos_token_id) for tokens in drawn[0]]
    assert set(ends) <= {0, 1}


def test_every_batch_draws_the_same_numbers_under_models_of_different_length(settings, tmp_path):
    lab = Lab(settings(sample_batch=8), tmp_path)
    end, states, lengths = lab.tokenizer.eos_token_id, [], []
    for factor in (1.0, 4.0):
        model = lab.policy().eval()
        seen: list[Any] = []
        with torch.no_grad():
            model.lm_head.weight[end] *= factor

        def recorded(*arguments, generate=model.generate, seen=seen, **settings):
            seen.append(torch.random.get_rng_state())
            return generate(*arguments, **settings)

        model.generate = recorded
        drawn = sample(model, lab.tokenizer, lab.prompts("test"), 3, lab.sampler)
        lengths.append([max(map(len, drawn[i : i + 8])) for i in range(0, 24, 8)])
        states.append(seen)
    assert lengths[0] != lengths[1]
    assert len(states[0]) == 3
    assert all(torch.equal(one, other) for one, other in zip(*states, strict=True))
    assert not torch.equal(states[0][0], states[0][1])
    assert torch.equal(states[0][0], torch.Generator().manual_seed(3).get_state())


def test_likelihoods_of_samples_are_those_of_the_model(settings, tmp_path):
    """Summed by hand from the logits of one sample at a time."""
    lab = Lab(settings(), tmp_path)
    prompts = lab.prompts("test")[:3]
    tokens = sample(lab.base, lab.tokenizer, prompts, 0, lab.sampler)
    found = logps(lab.base, lab.tokenizer, prompts, tokens, batch=2)
    for prompt, ids, value in zip(prompts, tokens, found, strict=True):
        start = lab.tokenizer(prompt)["input_ids"]
        with torch.no_grad():
            logits = lab.base(torch.tensor([start + ids])).logits[0, len(start) - 1 : -1]
        expected = sum(logits.log_softmax(-1)[i, token].item() for i, token in enumerate(ids))
        assert value == pytest.approx(expected, rel=1e-4)


def test_kl_is_that_of_the_models_and_grows_with_their_distance(settings, tmp_path):
    lab = Lab(settings(held_out=64), tmp_path)
    near, far = lab.policy(), lab.policy()
    for model, scale in ((near, 0.95), (far, 0.6)):
        with torch.no_grad():
            model.lm_head.weight.mul_(scale)
    kl = [measured(lab, model, "test", 0)["kl"] for model in (lab.base, near, far)]
    assert kl[0] == 0.0
    assert -0.2 < kl[1] < kl[2]


def test_text_and_messages_are_written_as_rows_hold_them(settings, tmp_path):
    words = Lab(settings(), tmp_path).tokenizer
    ids = words("they dance .")["input_ids"] + [words.eos_token_id]
    assert said("tell two ;", ids, words) == " they dance ."
    assert said("tell two ; ", ids, words) == "they dance ."
    asked = [{"role": "user", "content": "tell two ;"}]
    assert said(asked, ids, words) == [{"role": "assistant", "content": "they dance ."}]


def test_a_template_comes_from_a_file_or_another_tokenizer(settings, tmp_path):
    own = Lab(settings(), tmp_path)
    (tmp_path / "own.jinja").write_text("{{ messages[0]['content'] }}")
    lab = Lab(settings(template=str(tmp_path / "own.jinja")), tmp_path)
    assert lab.tokenizer.chat_template == "{{ messages[0]['content'] }}"
    lab = Lab(settings(template=own.paths["weak"]), tmp_path)
    assert lab.tokenizer.chat_template == own.tokenizer.chat_template


def _file(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_rows_of_a_file_are_split_once_and_for_all(settings, tmp_path):
    rows, _ = _rows(100)
    data = _file(tmp_path / "rows.jsonl", [{**row, "other": 1} for row in rows])
    splits = load(settings(data=data, rows=1000))
    parts = (splits.train, splits.validation, splits.test)
    assert [len(part) for part in parts] == [81, 9, 10]
    assert {json.dumps(row) for part in parts for row in part} == {json.dumps(row) for row in rows}
    assert load(settings(data=data, rows=1000)) == splits


def test_only_the_end_of_a_line_ends_a_row(settings, tmp_path):
    """JSON may hold the other characters that Python takes for ends of lines."""
    rows = [{**row, "prompt": "tell\u2028two\u0085;"} for row in _rows(40)[0]]
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    assert {row["prompt"] for row in load(settings(data=str(path))).train} == {rows[0]["prompt"]}
    path.write_text("\n\n" + lines[0] + "\n{\n", encoding="utf-8")
    with pytest.raises(RequestError, match="line 4 is not JSON"):
        load(settings(data=str(path)))


def test_a_data_set_with_a_test_split_keeps_it(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows, _ = _rows(60)
    folder = tmp_path / "set"
    folder.mkdir()
    _file(folder / "train.jsonl", [{**row, "chosen_rating": 5.0} for row in rows[:40]])
    _file(folder / "test.jsonl", rows[40:])
    splits = load(settings(data=str(folder), rows=30, held_out=24))
    assert [len(part) for part in (splits.train, splits.validation)] == [30, 4]
    assert splits.test == rows[40:]
    assert set(splits.train[0]) == {"prompt", "chosen", "rejected"}
    with pytest.raises(RequestError, match="cannot load the data set"):
        load(settings(data=str(tmp_path / "none")))


def test_conversations_of_a_file_run_through_the_whole_experiment(settings, tmp_path):
    def talk(prompt, answer):
        return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]

    rows = [
        {side: talk(row["prompt"], row[side].strip()) for side in ("chosen", "rejected")}
        for row in _rows(60)[0]
    ]
    chosen = settings(
        data=_file(tmp_path / "talk.jsonl", rows),
        objectives=("orpo",),
        seeds=1,
        shuffled=0.5,
        judge="language",
    )
    ledger = study.run(chosen, tmp_path / "out")
    assert 0 < ledger.results[Cell(TEST, "orpo", 0, 3e-3)].metrics["reward"] < 1
    weak = json.loads((tmp_path / "out" / "weak_responses.jsonl").read_text().splitlines()[0])
    assert weak[0][0]["role"] == "assistant"


def test_without_a_judge_there_is_no_win_to_report(settings, tmp_path):
    data = _file(tmp_path / "rows.jsonl", _rows(60)[0])
    chosen = settings(data=data, objectives=("orpo",), seeds=1)
    metrics = study.run(chosen, tmp_path / "out").results[Cell(TEST, "orpo", 0, 3e-3)].metrics
    assert {"accuracy", "kl", "length"} <= set(metrics)
    assert not {"reward", "win_rate"} & set(metrics)


def test_a_reward_model_judges(tmp_path):
    import transformers

    words = language.tokenizer()
    config = transformers.LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, pad_token_id=words.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    config.num_labels = 1
    transformers.LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    scores = reward_model(str(tmp_path), torch.device("cpu"), batch=2)
    prompts, responses = ["tell two ;"] * 3, [" it waits .", " it sleeps in the cave .", " it ."]
    found = scores(prompts, responses)
    assert len(set(found)) == 3
    assert scores(prompts[:1], responses[:1]) == pytest.approx(found[:1], rel=1e-4)
    config.num_labels = 2
    transformers.LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    with pytest.raises(RequestError, match="2 outputs"):
        reward_model(str(tmp_path), torch.device("cpu"))


def test_objectives_are_named_with_their_settings(monkeypatch):
    assert objective_and_settings("dpo:beta=0.5, x=1e-2") == ("dpo", {"beta": 0.5, "x": 0.01})
    assert objective_and_settings("ipo:length_normalise=true") == (
        "ipo",
        {"length_normalise": True},
    )
    assert objective_and_settings("runs/quick") == ("runs/quick", {})
    with pytest.raises(RequestError, match="settings are numbers"):
        objective_and_settings("dpo:beta")
    monkeypatch.setattr("mpo.shipped", lambda: {"found/b": 0, "found/a": 0})
    assert named(["orpo", "found/*", "orpo"]) == ("orpo", "found/a", "found/b")
    with pytest.raises(RequestError, match="no objective that ships"):
        named(["lost/*"])


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"learning_rate": None}, "give --learning-rate"),
        ({"learning_rate": 2.0}, "< 1, not 2.0"),
        ({"seeds": 0}, "'seeds' .* ≥ 1"),
        ({"shuffled": 1.5}, "≤ 1, not 1.5"),
        ({"model": "somewhere", "shuffled": 0.5}, "weak-model"),
        ({"data": "x.jsonl", "relabel": True}, "judge"),
        ({"select": "loss"}, "known are accuracy"),
        ({"data": "x.jsonl", "select": "reward"}, "judge"),
        ({"dtype": "int8"}, "known are auto"),
        ({"objectives": ()}, "at least one"),
        ({"trainer": "mine"}, "known are transformers"),
        ({"scale": "huge"}, "'huge': known are"),
    ],
)
def test_settings_that_make_no_experiment_are_named(settings, changed, says):
    with pytest.raises(RequestError, match=says):
        settings(**changed)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read"),
        ("", "no rows"),
        ("[1]\n", "not a JSON object"),
        ('{"chosen"\n', "line 1 is not JSON"),
        ('{"chosen": "a"}\n', "no column 'rejected'"),
        ('{"chosen": "ab", "rejected": "ac"}\n', "too few rows"),
    ],
)
def test_files_that_hold_no_preferences_are_named(settings, tmp_path, content, says):
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RequestError, match=says):
        load(settings(data=str(path)))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"model": "./none"}, "cannot load the"),
        ({"model": "./none", "weak_model": "./none", "shuffled": 0.5}, "cannot load the"),
        ({"weak_model": "./none", "shuffled": 0.5}, "cannot load the tokenizer of './none'"),
        ({"data": "none.jsonl"}, "cannot read none.jsonl"),
        ({"judge": "./none"}, "cannot load the judge"),
        ({"template": "./none"}, "cannot load the tokenizer"),
        ({"stop": "<none>"}, "no token '<none>' to stop at"),
        ({"objectives": ("orpo", "wdpo")}, "objective wdpo needs rewards: give all rows"),
        ({"objectives": ("wdpo",), "shuffled": 0.5}, "needs rewards.*leave out one of the two"),
        ({"objectives": ("none",)}, "unknown objective"),
    ],
)
@pytest.mark.sweep
def test_what_is_not_there_is_named_before_anything_is_written(settings, tmp_path, changed, says):
    out = tmp_path / "out"
    with pytest.raises(RequestError, match=says):
        study.run(settings(**changed), out)
    assert not out.exists()


def test_a_judge_of_other_prompts_is_named_before_anything_is_written(settings, tmp_path):
    rows = [{"prompt": "hello", "chosen": " a", "rejected": " b"}] * 40
    data, out = _file(tmp_path / "rows.jsonl", rows), tmp_path / "out"
    with pytest.raises(RequestError, match="knows its own prompts only"):
        study.run(settings(data=data, judge="language"), out)
    assert not out.exists()


def test_every_trainer_has_its_route():
    assert tuple(ROUTES) == TRAINERS


def test_the_command_prints_and_saves(tmp_path, capsys):
    command = [
        "finetune",
        "--objective",
        "orpo",
        "--learning-rate",
        "3e-3",
        "--seeds",
        "1",
        "--rows",
        "32",
    ]
    command += ["--held-out", "16", "--scale", "test", "--out", str(tmp_path), "--new-tokens", "40"]
    assert main([*command, "--json"]) == 0
    printed = capsys.readouterr()
    saved = json.loads((tmp_path / "summary.json").read_text())
    assert json.loads(printed.out) == saved
    assert saved["command"].startswith("discovery ")
    assert "2/2 test orpo seed 0 at 0.003" in printed.err
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "| orpo " in printed.out
    assert printed.err == ""  # nothing was run again
    assert main([*command, "--rows", "0"]) == 2
    assert "'rows' of the experiment must be a whole number ≥ 1" in capsys.readouterr().err


def test_an_interruption_says_that_the_command_goes_on(tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "run", interrupted)
    command = ["finetune", "--objective", "orpo", "--learning-rate", "3e-3", "--out", str(tmp_path)]
    assert main(command) == 130
    assert "the same command goes on" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(command) == 2
    assert "pip install 'preference-discovery[llm]'" in capsys.readouterr().err


def test_results_of_an_interrupted_write_are_no_results(settings, tmp_path):
    ledger = Ledger(tmp_path, settings())
    cell = Cell(TUNE, "orpo", 1000, 1e-3)
    ledger.add(Result(cell, {"reward": 0.5}, 1.0))
    text = ledger.path.read_text()
    ledger.path.write_text(text + text[:20])
    again = Ledger(tmp_path, settings())
    assert again.results.keys() == {cell}
    again.add(Result(Cell(TUNE, "dpo", 1000, 1e-3), {}, 1.0))
    found = read(ledger.path)
    assert [result.diverged for result in found] == [False, True]


@pytest.mark.sweep
def test_importing_the_packages_imports_no_torch():
    names = ("discovery.cli", "llm_transfer.trainers", "llm_transfer.language", "llm_transfer.cli")
    code = (
        f"import sys, {', '.join(names)}; assert not {{'torch', 'transformers'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
