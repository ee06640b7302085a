"""What trainers leave behind, read as paths of weights: whole models, adapters, reward models."""

import pytest

torch = pytest.importorskip("torch", reason="needs the [llm] extra")
transformers = pytest.importorskip("transformers", reason="needs the [llm] extra")
datasets = pytest.importorskip("datasets", reason="needs the [llm] extra")
peft = pytest.importorskip("peft", reason="needs the [llm] extra")
trl = pytest.importorskip("trl", reason="needs the [llm] extra")

from discovery.weights import analyse  # noqa: E402
from llm_transfer.trainers import PreferenceTrainer  # noqa: E402

pytestmark = [
    pytest.mark.llm,
    # The name that every supported version knows; transformers 5.2x has a second one.
    pytest.mark.filterwarnings("ignore:.(is_)?gradient_checkpointing. is deprecated:FutureWarning"),
]
SAVED = {"save_strategy": "steps", "save_steps": 1, "max_steps": 4, "save_total_limit": None}


@pytest.fixture
def policy(folder, words, rows, settings, losses, tmp_path):
    """Return a function that trains a policy, and its folder of checkpoints."""

    def train(name, **others):
        args = settings(output_dir=str(tmp_path / name), **SAVED)
        trainer = PreferenceTrainer(
            folder, losses["simpo"], args, train_dataset=rows, processing_class=words, **others
        )
        trainer.train()
        return tmp_path / name

    return train


@pytest.mark.sweep
def test_a_policy_and_its_reward_model(policy, folder, words, rows, settings, tmp_path):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
    trl.RewardTrainer(
        model=model,
        args=settings(trl.RewardConfig, output_dir=str(tmp_path / "reward"), **SAVED),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=words,
    ).train()
    findings = analyse([policy("policy"), tmp_path / "reward"])
    assert findings.numbers == (1, 2, 3, 4)
    assert findings.left_out == ("lm_head.weight", "score.weight")
    shared = sum(weights.numel() for weights in model.model.parameters())
    assert findings.whole.weights == shared
    assert "model.layers.0.self_attn.q_proj.weight" in findings.layers


def test_an_adapter(policy):
    lora = peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    findings = analyse([policy("adapter", peft_config=lora)])
    assert findings.numbers == (1, 2, 3, 4)
    assert all("lora" in name for name in findings.layers)
