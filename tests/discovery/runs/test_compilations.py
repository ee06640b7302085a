"""A whole run, with its selection, tuning and comparison, compiles a training of a shape once."""

import jax

from discovery import config
from discovery.runs import discover
from discovery.search import cohort
from discovery.search.cohort import Cohort


def _signature(*arguments):
    """Return the structure of a call's arguments, with the shape and dtype of each leaf."""
    leaves, structure = jax.tree.flatten(arguments)
    return structure, tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)


def test_a_run_compiles_each_training_once_and_another_run_none(tiny, tmp_path, monkeypatch):
    cohort._training.cache_clear()
    cohort._scoring.cache_clear()
    trained, scored, programs = set(), set(), set()
    train, score = Cohort.train, Cohort.score

    def noted_train(self, algorithms, keys, dataset=0):
        s = self.situation
        used = (algorithms, jax.random.key_data(keys), s.sources[dataset], s.moments[dataset])
        trained.add((id(self._training), _signature(*used, s.start)))
        programs.add(self._training)
        return train(self, algorithms, keys, dataset)

    def noted_score(self, agents, action=None):
        scored.add((id(self._scoring), _signature(agents)))
        programs.add(self._scoring)
        return score(self, agents, action)

    monkeypatch.setattr(Cohort, "train", noted_train)
    monkeypatch.setattr(Cohort, "score", noted_score)
    run = config.changed(tiny, {"search.generations": 2, "evaluation.tune": True})
    discover(run, tmp_path / "first", quiet=True)
    compiled = sum(program.compilations for program in programs)
    assert compiled == len(trained) + len(scored)
    # The search; the selection; and each objective compared, tuned and evaluated, in chunks.
    assert len(trained) <= 2 + 3 * len(run.evaluation.against)

    other = config.changed(run, {"seed": 1, "search.sigma": 0.2})
    discover(other, tmp_path / "second", quiet=True)
    assert sum(program.compilations for program in programs) == compiled
