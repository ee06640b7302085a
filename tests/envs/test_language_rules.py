"""The small language: what careful authors write, what the judge makes of it, and that in JAX."""

from random import Random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.language import corpus, lexicon, rules, texts
from envs.language.judge import TASTE, Verdict, judge, reward, understand
from envs.language.stories import Author, Request, request, understood, write

ASKED = Request("fox", True, "cave", ("honey", "rope"), 3)
STORY = "some old foxes eat the honey . then they dance in the cave . soon they hide the rope ."


def _drawn(care, stories=100, colour=0.3):
    random = Random(0)
    for _ in range(stories):
        asked = request(random)
        yield asked, write(asked, Author(care, colour), random)


def _rules(verdict):
    return {name: value for name, value in vars(verdict).items() if name != "colour"}


def test_a_careful_author_breaks_no_rule():
    for asked, story in _drawn(care=1.0):
        assert set(_rules(judge(asked, story)).values()) == {1.0}


def test_less_care_and_less_colour_are_worth_less():
    means = [sum(judge(*x).reward for x in _drawn(care)) for care in (0.3, 0.5, 0.7, 0.9, 1.0)]
    assert means == sorted(means)
    dull, vivid = (sum(judge(*x).reward for x in _drawn(1.0, colour=c)) for c in (0.0, 0.9))
    assert vivid > dull + 0.2 * 100


def test_prompts_say_the_request():
    assert ASKED.prompt == "tell three : some foxes , cave , honey , rope ;"
    for asked, _ in _drawn(0.5):
        assert understood(asked.prompt) == asked
    with pytest.raises(ValueError, match="not a request"):
        understood("what is a fox ?")


@pytest.mark.parametrize("word", ["three", "foxes", "cave", "honey", "rope"])
def test_a_request_with_an_unknown_word_is_none(word):
    with pytest.raises(ValueError, match="not a request"):
        understood(ASKED.prompt.replace(word, "zebra"))


def test_every_word_that_is_written_is_in_the_vocabulary():
    known = set(lexicon.words())
    assert len(known) == len(lexicon.words())
    for asked, story in _drawn(0.4):
        assert known.issuperset(asked.prompt.split())
        assert known.issuperset(story.split())


@pytest.mark.parametrize(
    ("part", "story", "value"),
    [
        ("grammar", STORY.replace("then they dance", "dance then they"), 2 / 3),
        ("agreement", STORY.replace("they dance", "it dances"), 2 / 3),
        ("agreement", STORY.replace("foxes eat", "foxes eats"), 2 / 3),
        ("agreement", STORY.replace("some", "one"), 2 / 3),
        ("sense", STORY.replace("eat the", "hum the"), 2 / 3),
        ("sense", STORY.replace("in the cave", "on the cave"), 2 / 3),
        ("faithful", STORY.replace("rope", "lamp"), 3 / 4),
        ("faithful", STORY.replace("in the cave ", ""), 3 / 4),
        ("faithful", STORY.replace("foxes", "owls"), 3 / 4),
        ("count", STORY + " later they wait .", 2 / 3),
        ("variety", STORY.replace("hide", "eat").replace("rope", "honey"), 2 / 3),
        ("colour", STORY, 1 / 3),
        ("colour", STORY.replace("old ", ""), 0.0),
    ],
)
def test_each_fault_is_seen_by_its_part_of_the_verdict(part, story, value):
    assert getattr(judge(ASKED, story), part) == pytest.approx(value)


@pytest.mark.parametrize("story", ["", ".", ". . .", "the the the", "honey . rope ."])
def test_nonsense_is_judged_and_worth_little(story):
    assert 0.0 <= judge(ASKED, story).reward < 0.25


def test_a_story_without_its_full_stop_has_a_sentence_too_few():
    cut = STORY.removesuffix(" .")
    assert judge(ASKED, cut).grammar == pytest.approx(2 / 3)


def test_reward_weighs_rules_and_colour():
    verdict = Verdict(*[1.0] * 6, colour=0.5)
    assert verdict.reward == pytest.approx(1 - TASTE / 2)
    assert reward(ASKED.prompt, STORY) == judge(ASKED, STORY).reward


def test_sentences_with_words_to_spare_are_not_understood():
    assert understand(["they", "dance"]) is not None
    assert understand(["they", "dance", "dance"]) is None
    assert understand([]) is None


def test_preferences_are_right_by_the_judge_and_the_same_every_time():
    rows = corpus.preferences(40, "train")
    assert all(
        reward(row["prompt"], row["chosen"]) > reward(row["prompt"], row["rejected"])
        for row in rows
    )
    assert rows == corpus.preferences(40, "train")


def test_splits_share_no_row():
    splits = [{str(row) for row in corpus.preferences(60, name)} for name in corpus.STREAMS]
    assert len(set.union(*splits)) == sum(map(len, splits))


# ---------------------------------------------------------------- the judge in JAX

LENGTH = 44


def _spoiled(story, random):
    """Return a story with some words replaced, removed or doubled."""
    words = story.split()
    for _ in range(random.randrange(4)):
        at = random.randrange(len(words))
        words[at : at + 1] = [random.choice(lexicon.words())] * random.choice([0, 1, 1, 2])
        words = words or ["."]
    return " ".join(words)


def _texts(count):
    """Yield prompts and stories of all qualities: by authors, spoiled, and words at random."""
    random = Random(1)
    for number in range(count):
        asked = request(random)
        author = Author(random.uniform(0.3, 1.0), random.random())
        story = write(asked, author, random)
        if number % 3 == 1:
            story = _spoiled(story, random)
        if number % 9 == 2:
            often = ["the", ".", "it", "fox", "eats", "apple", "by", "river", "then", "old"]
            story = " ".join(random.choices(often, k=random.randrange(1, LENGTH)))
        yield asked, story


@pytest.mark.sweep
def test_the_judge_in_jax_gives_every_part_of_every_verdict():
    drawn = list(_texts(1500))
    prompts = jnp.array([texts.tokens(asked.prompt) for asked, _ in drawn], jnp.int32)
    stories = np.array([texts.response(story, LENGTH) for _, story in drawn])
    found = jax.jit(jax.vmap(rules.verdict))(prompts, jnp.asarray(stories))
    expected = [
        judge(asked, texts.said(story)) for (asked, _), story in zip(drawn, stories, strict=True)
    ]
    for part, values in found.items():
        exact = np.array([getattr(one, part) for one in expected], np.float32)
        np.testing.assert_array_max_ulp(np.asarray(values), exact, 1)
    rewards = jax.jit(jax.vmap(rules.reward))(prompts, jnp.asarray(stories))
    exact = np.array([one.reward for one in expected], np.float32)
    np.testing.assert_array_max_ulp(np.asarray(rewards), exact, 4)
    assert len({*exact.tolist()}) > 100, "verdicts of all kinds"


def test_what_follows_the_end_and_what_is_no_word_does_not_count():
    prompt = jnp.array(texts.tokens(ASKED.prompt), jnp.int32)
    story = texts.tokens(STORY)
    ended = [*story, rules.END, *texts.tokens("honey . honey")]
    strewn = [rules.PAD, *story[:5], rules.NUMBER[lexicon.UNKNOWN], *story[5:]]
    wanted = pytest.approx(reward(ASKED.prompt, STORY), rel=1e-6)
    for numbers in (ended, strewn):
        assert texts.said(numbers) == STORY
        assert float(rules.reward(prompt, jnp.array(numbers, jnp.int32))) == wanted


def test_texts_are_read_back_from_their_tokens():
    for asked, story in _drawn(0.6, stories=50):
        assert texts.said(texts.tokens(asked.prompt)) == asked.prompt
        assert texts.said(texts.response(story, 64)) == story
