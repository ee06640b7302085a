"""Which loss for my data: what a dataset is like, what it is nearest to of all that was measured.

described = describe(envs.data.load("mine.npz"))
advice = advise(described, situations())     # the table that ships
"""

from discovery.recommend.advice import Advice, advise
from discovery.recommend.descriptors import DESCRIPTORS, Described, describe
from discovery.recommend.situations import Measured, situations

__all__ = [
    "DESCRIPTORS",
    "Advice",
    "Described",
    "Measured",
    "advise",
    "describe",
    "situations",
]
