"""Objectives of this project on these trainers against the trainers that TRL ships for them."""

import pytest

torch = pytest.importorskip("torch", reason="needs the [llm] extra")
datasets = pytest.importorskip("datasets", reason="needs the [llm] extra")
trl = pytest.importorskip("trl", reason="needs the [llm] extra")

from llm_transfer.trainers import MPOTrainer, PreferenceTrainer  # noqa: E402
from llm_transfer.trainers.collator import PreferenceCollator  # noqa: E402
from llm_transfer.trainers.likelihood import Likelihood  # noqa: E402
from llm_transfer.trainers.rows import prepare  # noqa: E402

pytestmark = [
    pytest.mark.llm,
    pytest.mark.filterwarnings("ignore:.(is_)?gradient_checkpointing. is deprecated:FutureWarning"),
]


@pytest.fixture
def trained(folder, words, rows):
    """Return held-out scores after a training, as a function of the trainer and what it takes."""
    from transformers import AutoModelForCausalLM

    batch = PreferenceCollator.of(words)(prepare(rows[64:], words))

    def train(kind, args, **others):
        model = AutoModelForCausalLM.from_pretrained(folder)
        data = datasets.Dataset.from_list(rows[:64])
        others |= {"train_dataset": data, "processing_class": words}
        trainer = kind(model, args=args, **others)
        trainer.train()
        trainer.model.eval()
        with torch.no_grad():
            return Likelihood()(trainer.model, batch).logp

    return train


def _agree(one, other, start):
    assert (one - start).abs().max() > 0.1
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-3)


@pytest.fixture
def start(trained, settings):
    return trained(PreferenceTrainer, settings(learning_rate=1e-12), loss="orpo")


def test_dpo(trained, settings, start):
    args = settings(trl.DPOConfig, beta=0.1, learning_rate=0.1)
    _agree(trained(MPOTrainer, args, loss="dpo"), trained(trl.DPOTrainer, args), start)


def test_ipo_of_trl_is_ours_per_token(trained, settings, start):
    import llm_transfer

    args = settings(trl.DPOConfig, beta=0.5, loss_type="ipo", learning_rate=0.1)
    loss = llm_transfer.torch_loss("ipo", beta=0.5, length_normalise=True)
    _agree(trained(MPOTrainer, args, loss=loss), trained(trl.DPOTrainer, args), start)


def test_simpo(trained, settings, start):
    cpo = pytest.importorskip("trl.experimental.cpo")
    theirs = settings(
        cpo.CPOConfig, loss_type="simpo", cpo_alpha=0.0, beta=2.0, simpo_gamma=0.5, max_length=128
    )
    expected = trained(cpo.CPOTrainer, theirs)
    _agree(trained(PreferenceTrainer, settings(), loss="simpo"), expected, start)
    _agree(trained(MPOTrainer, settings(trl.DPOConfig), loss="simpo"), expected, start)
