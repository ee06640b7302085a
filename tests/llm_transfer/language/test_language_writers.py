"""One world: the writers of the task `language` are the same in JAX and in transformers."""

from statistics import fmean

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [llm] extra")
transformers = pytest.importorskip("transformers", reason="needs the [llm] extra")

from envs import agents  # noqa: E402
from envs.language import Language, rules, texts  # noqa: E402
from llm_transfer import language  # noqa: E402
from llm_transfer.experiment.sampling import Sampler, said, sample  # noqa: E402
from llm_transfer.language.siblings import WRITERS  # noqa: E402

pytestmark = pytest.mark.llm

TASK, ROWS = Language(), 24


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return language.models("shipped", tmp_path_factory.mktemp("writers"))


@pytest.mark.parametrize("part", WRITERS)
@pytest.mark.sweep
def test_log_probabilities_are_those_of_the_policy(part, made):
    pairs = texts.preferences(ROWS, "test", TASK.horizon)
    prompts, stories = pairs["inputs"].reshape(2 * ROWS, -1), pairs["outputs"].reshape(2 * ROWS, -1)
    params = TASK.agent(WRITERS[part])
    ours = jax.jit(jax.vmap(TASK.policy.log_prob, (None, 0, 0)))(params, prompts, stories)
    model = transformers.AutoModelForCausalLM.from_pretrained(getattr(made, part))
    whole = torch.tensor(np.concatenate([prompts, stories], axis=1), dtype=torch.long)
    with torch.no_grad():
        logits = model(input_ids=whole).logits[:, rules.PROMPT - 1 : -1]
    theirs = torch.log_softmax(logits, -1).gather(-1, whole[:, rules.PROMPT :, None])[..., 0]
    counts = stories != rules.PAD
    np.testing.assert_allclose(np.asarray(ours)[counts], theirs.numpy()[counts], atol=1e-4)


def test_tokens_are_those_of_the_tokenizer(made):
    words = transformers.AutoTokenizer.from_pretrained(made.base)
    assert words.get_vocab() == rules.NUMBER
    pairs = texts.preferences(ROWS, "test", TASK.horizon)
    for row, stories in zip(language.preferences(ROWS, "test"), pairs["outputs"], strict=True):
        for side, story in zip(("chosen", "rejected"), stories, strict=True):
            assert words(row[side])["input_ids"] == texts.tokens(row[side])
            assert words.decode(story, skip_special_tokens=True) == texts.said(story)


def test_what_transformers_samples_of_a_writer_is_worth_what_its_file_says(made):
    model = transformers.AutoModelForCausalLM.from_pretrained(made.base).eval()
    words = transformers.AutoTokenizer.from_pretrained(made.base)
    prompts = [row["prompt"] for row in language.preferences(48, "validation")]
    drawn = sample(model, words, prompts, 0, Sampler(new_tokens=64))
    worth = [language.reward(p, said(p, ids, words)) for p, ids in zip(prompts, drawn, strict=True)]
    about = agents.provenance(agents.whole_name("language", "base", TASK.defaults.roles))
    error = np.std(worth) / len(worth) ** 0.5
    assert fmean(worth) == pytest.approx(about.measured.mean, abs=4.5 * error)
