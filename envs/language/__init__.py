"""A small language with a judge that knows the truth: its words, its stories, and the task.

Words, requests, stories, judge and preferences are plain Python (`lexicon`, `stories`, `judge`,
`corpus`), and `llm_transfer.language` builds on the same. `rules` is the judge in JAX, and
`Language` the task.
"""

from envs.language.task import Language

__all__ = ["Language"]
