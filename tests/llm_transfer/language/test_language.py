"""The small language: what careful authors write, what the judge makes of it."""

from random import Random

import pytest

from llm_transfer import language
from llm_transfer.language import corpus, lexicon
from llm_transfer.language.judge import TASTE, Verdict, judge, reward, understand
from llm_transfer.language.stories import Author, Request, request, understood, write

ASKED = Request("fox", True, "cave", ("honey", "rope"), 3)
STORY = "some old foxes eat the honey . then they dance in the cave . soon they hide the rope ."


def _drawn(care, stories=200, colour=0.3):
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
    assert vivid > dull + 0.2 * 200


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
    rows = language.preferences(100, "train")
    assert all(
        reward(row["prompt"], row["chosen"]) > reward(row["prompt"], row["rejected"])
        for row in rows
    )
    assert rows == language.preferences(100, "train")


def test_splits_share_no_row():
    splits = [{str(row) for row in language.preferences(300, name)} for name in corpus.STREAMS]
    assert len(set.union(*splits)) == sum(map(len, splits))
