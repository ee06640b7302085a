"""A random language model on disk, preference rows, and losses written by hand."""

import os
from types import SimpleNamespace

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

torch = pytest.importorskip("torch", reason="needs the [llm] extra")
transformers = pytest.importorskip("transformers", reason="needs the [llm] extra")


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Return the folder of a small random Llama and the tokenizer of the small language."""
    from llm_transfer.language.vocabulary import tokenizer

    words, path = tokenizer(), tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        initializer_range=0.2,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        bos_token_id=None,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    words.save_pretrained(path)
    return str(path)


@pytest.fixture
def words(folder):
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def model(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder)


@pytest.fixture(scope="session")
def rows():
    from envs.language.corpus import preferences

    return preferences(96, "train")


class Handmade:
    """A double of `TorchLoss` by a function of (w, l, ref_w, ref_l, reward gap, progress)."""

    def __init__(self, name, function, **traits):
        traits = {
            "needs_reference": False,
            "needs_reward": False,
            "needs_credit": False,
            "temporal": False,
            "length_normalise": False,
        } | traits
        self.name, self._function = name, function
        self.seen = []
        self.__dict__.update(traits)

    def __call__(self, logp_w, logp_l, *, len_w=None, len_l=None, ref_logp_w=None,
                 ref_logp_l=None, reward_w=None, reward_l=None, progress=0.0):  # fmt: skip
        if self.length_normalise:
            logp_w, logp_l = logp_w / len_w, logp_l / len_l
        gap = None if reward_w is None else reward_w - reward_l
        self.seen.append(SimpleNamespace(progress=progress, gap=gap))
        return self._function(logp_w, logp_l, ref_logp_w, ref_logp_l, gap, progress)


@pytest.fixture
def losses():
    from torch.nn.functional import logsigmoid

    def dpo(w, l, rw, rl, gap, progress):  # noqa: E741
        return -logsigmoid(0.5 * ((w - rw) - (l - rl)))

    def simpo(w, l, rw, rl, gap, progress):  # noqa: E741
        return -logsigmoid(2.0 * (w - l) - 0.5)

    def closed(w, l, rw, rl, gap, progress):  # noqa: E741
        return -w - logsigmoid(w - l)

    def weighted(w, l, rw, rl, gap, progress):  # noqa: E741
        return -torch.sigmoid(gap) * logsigmoid(w - l)

    def fading(w, l, rw, rl, gap, progress):  # noqa: E741
        return -(1 - progress) * w - progress * logsigmoid(w - l)

    return {
        "dpo": Handmade("dpo", dpo, needs_reference=True),
        "simpo": Handmade("simpo", simpo, length_normalise=True),
        "closed": Handmade("closed", closed, length_normalise=True),
        "weighted": Handmade("weighted", weighted, needs_reward=True, length_normalise=True),
        "fading": Handmade("fading", fading, temporal=True, length_normalise=True),
    }


@pytest.fixture
def settings(tmp_path):
    """Return the arguments of a short training on a CPU, as a function of what differs."""

    def make(kind=transformers.TrainingArguments, **changed):
        defaults = {
            "output_dir": str(tmp_path / "out"),
            "per_device_train_batch_size": 16,
            "per_device_eval_batch_size": 16,
            "num_train_epochs": 1,
            "learning_rate": 1e-2,
            "optim": "sgd",
            "lr_scheduler_type": "constant",
            "max_grad_norm": 0.0,
            "logging_steps": 2,
            "save_strategy": "no",
            "report_to": "none",
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "disable_tqdm": True,
            "seed": 0,
            "data_seed": 0,
        }
        return kind(**defaults | changed)

    return make
