"""The models of the small language: made, cached, loaded by transformers, better and worse."""

import json
from statistics import fmean

import pytest

torch = pytest.importorskip("torch", reason="needs the [llm] extra")
transformers = pytest.importorskip("transformers", reason="needs the [llm] extra")

from llm_transfer import language  # noqa: E402
from llm_transfer.experiment.sampling import Sampler, said, sample  # noqa: E402
from llm_transfer.language.pretrain import pretrain  # noqa: E402
from llm_transfer.language.recipes import Recipe  # noqa: E402
from mpo.errors import RequestError  # noqa: E402

pytestmark = pytest.mark.llm


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("language")


@pytest.fixture(scope="module")
def made(folder):
    return language.models("test", folder)


def _quality(path):
    model = transformers.AutoModelForCausalLM.from_pretrained(path)
    words = transformers.AutoTokenizer.from_pretrained(path)
    prompts = [row["prompt"] for row in language.preferences(64, "validation")]
    drawn = sample(model.eval(), words, prompts, 0, Sampler(new_tokens=48))
    pairs = zip(prompts, drawn, strict=True)
    return fmean(language.reward(p, said(p, ids, words)) for p, ids in pairs)


@pytest.mark.sweep
def test_transformers_loads_both_and_the_weaker_is_worse(made):
    assert _quality(made.base) > _quality(made.weak) + 0.05


def test_a_model_in_the_cache_is_not_made_again(made, folder, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr("llm_transfer.language.pretrain.pretrain", refuse)
    assert language.models("test", folder) == made


@pytest.mark.sweep
def test_what_an_interruption_left_is_made_anew(made, folder, monkeypatch):
    (made.weak / "about.json").unlink()
    trained, real = [], pretrain

    def counted(*arguments):
        trained.append(arguments)
        return real(*arguments)

    monkeypatch.setattr("llm_transfer.language.pretrain.pretrain", counted)
    assert language.models("test", folder) == made
    assert len(trained) == 1
    assert json.loads((made.weak / "about.json").read_text())["recipe"]["width"] == 16
    assert not list(folder.glob(".*"))


def test_pretraining_is_reproducible_and_leaves_the_generator_alone():
    recipe = Recipe(width=16, layers=1, steps=3, care=(0.6, 1.0))
    torch.manual_seed(7)
    before, seen = torch.random.get_rng_state(), []
    one, other = (
        pretrain(recipe, language.tokenizer(), lambda *line: seen.append(line)) for _ in range(2)
    )
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert [line[:2] for line in seen] == [(1, 3), (2, 3), (3, 3)] * 2


def test_wrong_requests_are_named(tmp_path):
    with pytest.raises(RequestError, match="unknown scale"):
        language.models("huge", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="DISCOVERY_CACHE"):
        language.models("test", tmp_path / "file")
