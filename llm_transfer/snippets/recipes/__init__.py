"""Where an exported loss trains: a few lines for each trainer, below the loss itself.

A recipe is a file to import or to run: the text of the PyTorch function, and the class, the
registration or the replaced method by which the trainer takes it.
"""

from typing import Final

from llm_transfer.snippets.recipes.chunked import CHUNKED, LIGER
from llm_transfer.snippets.recipes.llama_factory import LLAMA_FACTORY, LLAMA_FACTORY_V1
from llm_transfer.snippets.recipes.nemo_rl import NEMO_RL
from llm_transfer.snippets.recipes.openrlhf import OPENRLHF
from llm_transfer.snippets.recipes.recipe import Recipe
from llm_transfer.snippets.recipes.trl import AXOLOTL, TRL
from llm_transfer.snippets.recipes.verl import VERL

RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        TRL, AXOLOTL, OPENRLHF, LLAMA_FACTORY, LLAMA_FACTORY_V1, NEMO_RL, VERL, CHUNKED, LIGER,
    )
}  # fmt: skip

__all__ = ["RECIPES", "Recipe"]
