"""The small language as a task: its requests, its writers, and what is measured of an agent."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs import data
from envs.language import Language, corpus, texts
from envs.language.judge import reward
from envs.language.rules import END, NUMBER, PAD
from envs.language.stories import understood
from envs.language.task import BASE, EXPERT, hotter
from mpo.train.logprob import log_probs

TASK = Language()
RESPOND = jax.jit(jax.vmap(TASK.respond, (None, 0, 0)))
STORIES = 96


@pytest.fixture(scope="module")
def drawn():
    """Return the stories of two writers to the same requests, by writer."""
    keys = jax.random.split(jax.random.key(0), (STORIES, 2))
    starts = jax.vmap(TASK.start)(keys[:, 0])
    return {level: RESPOND(TASK.agent(level), starts, keys[:, 1]) for level in (BASE, EXPERT)}


@pytest.mark.sweep
def test_every_start_is_a_request_and_all_are_equally_likely():
    keys = jax.random.split(jax.random.key(1), 4000)
    prompts = [texts.said(row) for row in np.asarray(jax.jit(jax.vmap(TASK.start))(keys))]
    asked = [understood(prompt) for prompt in prompts]
    assert [one.prompt for one in asked] == prompts
    kinds = collections.Counter(one.things for one in asked)
    assert len(kinds) == 3 * 2 * 6 * 6
    for part, count in (("animal", 10), ("plural", 2), ("place", 8), ("sentences", 3)):
        seen = collections.Counter(getattr(one, part) for one in asked)
        assert len(seen) == count
        spread = np.array([*seen.values()]) / 4000 * count
        assert np.all(np.abs(spread - 1) < 5 * np.sqrt(count / 4000))


@pytest.mark.sweep
def test_a_story_ends_with_its_end_and_is_paid_there_what_the_judge_says(drawn):
    found = jax.tree.map(np.asarray, drawn[BASE])
    for prompt, tokens, mask, paid in zip(
        found.inputs, found.outputs, found.mask, found.reward, strict=True
    ):
        length = mask.sum()
        assert mask[:length].all()
        assert END not in tokens[: length - 1]
        assert tokens[length - 1] == END or length == TASK.horizon
        assert np.all(tokens[length:] == PAD)
        worth = reward(texts.said(prompt), texts.said(tokens))
        assert paid[length - 1] == pytest.approx(worth, rel=1e-6)
        assert np.count_nonzero(paid) <= 1
    assert np.mean(found.outputs[np.arange(STORIES), found.mask.sum(1) - 1] == END) > 0.95


def test_writers_are_as_good_as_their_files_say_and_heat_is_bad(drawn):
    from envs import agents

    for level, found in drawn.items():
        about = agents.provenance(agents.whole_name("language", level, TASK.defaults.roles))
        error = float(jnp.std(found.total)) / STORIES**0.5
        assert float(jnp.mean(found.total)) == pytest.approx(about.measured.mean, abs=4.5 * error)
    keys = jax.random.split(jax.random.key(2), STORIES)
    hot = RESPOND(TASK.agent("poor"), drawn[BASE].inputs, keys)
    assert float(jnp.mean(hot.total)) < float(jnp.mean(drawn[BASE].total)) - 0.05


def test_another_temperature_divides_the_logits():
    params, prompt = TASK.agent(BASE), jnp.array(texts.tokens(PROMPT), jnp.int32)
    story = jnp.asarray(texts.response("it waits .", TASK.horizon))
    logits = jax.jit(TASK.policy.logits)
    cold, hot = (logits(one, prompt, story) for one in (params, hotter(params, 2.0)))
    np.testing.assert_allclose(hot, cold / 2, rtol=1e-5, atol=1e-5)


PROMPT = "tell two : one fox , cave , honey , rope ;"


@pytest.mark.sweep
def test_its_data_are_generated_and_those_of_the_corpus_fit():
    made = data.plan("language", "shuffled", rows=8)
    assert made.recipe.reference.name == "poor"
    pairs = data.from_arrays(
        **texts.preferences(16, "test", TASK.horizon), vocabulary=len(NUMBER), task="language"
    )
    data.check_fit(pairs, TASK, "pairs.npz")
    rows = corpus.preferences(16, "test")
    assert [texts.said(story) for story in pairs.outputs[:, 0]] == [
        row["chosen"].strip() for row in rows
    ]
    assert np.all(pairs.reward[:, 0] > pairs.reward[:, 1])
    batch = pairs.view().batch(jnp.arange(16, dtype=jnp.int32))
    assert np.all(np.asarray(log_probs(TASK.policy, TASK.agent(BASE), batch)) < 0)


def test_the_base_measured_against_itself_wins_half_and_is_at_no_distance(drawn):
    keys = jax.random.split(jax.random.key(3), 32)
    measured = jax.jit(TASK.measured)
    base, expert = (
        measured(TASK.agent(level), drawn[BASE].inputs[:32], keys) for level in (BASE, EXPERT)
    )
    assert {*base} == {*TASK.measures}
    assert float(base["win_rate"]) == 0.5
    assert float(base["kl"]) == pytest.approx(0.0, abs=1e-5)
    assert float(expert["win_rate"]) > 0.7
    assert float(expert["kl"]) > 1.0
    assert 0.5 < float(base["accuracy"]) < 0.65
