"""From preference rows as people keep them to token numbers, as TRL's DPO reads the same rows."""

import warnings
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from mpo.errors import RequestError

Row = Mapping[str, Any]

TOKENS: Final = ("prompt_ids", "chosen_ids", "rejected_ids")
REFERENCE: Final = ("ref_chosen_logps", "ref_rejected_logps")
REWARD: Final = ("chosen_reward", "rejected_reward")


def prepare(data: Any, tokenizer: Any, max_length: int | None = None) -> Any:
    """Return `data` with the columns `prompt_ids`, `chosen_ids` and `rejected_ids`.

    Rows have `chosen` and `rejected`, and `prompt` unless both begin with it; each a text, or
    a list of messages for the tokenizer's chat template. Reference log-probabilities and
    rewards are kept. Rows in which nothing of a response is left are dropped, with a warning.

    Args:
      data: a `datasets.Dataset`, or a list of rows.
      tokenizer: of the model; texts get its end-of-text token.
      max_length: tokens of prompt and response together; the collator cuts the end off.

    Raises:
      RequestError: a column is missing, or no row is left.
    """
    columns = _columns(data)
    if set(TOKENS) <= set(columns):
        return data
    require(columns, ("chosen", "rejected"))

    def tokenized(row: Row) -> dict[str, list[int]]:
        return tokenize(row, tokenizer)

    def keeps(row: Row) -> bool:
        return _says_something(row, max_length)

    if hasattr(data, "map"):
        found = data.map(tokenized).filter(keeps)
    else:
        found = [row for row in ({**row, **tokenized(row)} for row in data) if keeps(row)]
    _report(data, found, max_length)
    return found


def tokenize(row: Row, tokenizer: Any) -> dict[str, list[int]]:
    """Return the tokens of a row: of the prompt, and of each response after it."""
    row = explicit(row)
    prompt = encode(row["prompt"], tokenizer, add_generation_prompt=True)
    chosen, rejected = (
        encode(_joined(row["prompt"], row[side], tokenizer), tokenizer)
        for side in ("chosen", "rejected")
    )
    # Where tokens merge across the boundary, or a template ends a prompt differently.
    start = min(_common(prompt, chosen), _common(prompt, rejected))
    return {
        "prompt_ids": prompt[:start],
        "chosen_ids": chosen[start:],
        "rejected_ids": rejected[start:],
    }


def explicit(row: Row) -> Row:
    """Return a row with a prompt: what both of its responses begin with, if it has none."""
    return row if "prompt" in row else {**row, **_split(row["chosen"], row["rejected"])}


def encode(text: Any, tokenizer: Any, **settings: Any) -> list[int]:
    """Return the tokens of a text, or of messages by the tokenizer's chat template.

    Raises:
      RequestError: there are messages and no template.
    """
    if isinstance(text, str):
        return list(tokenizer(text)["input_ids"])
    if tokenizer.chat_template is None:
        raise RequestError(
            "rows hold messages and the tokenizer has no chat template: set "
            "tokenizer.chat_template, or give rows of text"
        )
    settings |= {"tokenize": True, "return_dict": True}
    return list(tokenizer.apply_chat_template(list(text), **settings)["input_ids"])


def require(columns: Collection[str], needed: Collection[str]) -> None:
    """Say which of the needed columns a dataset lacks.

    Raises:
      RequestError: one is missing.
    """
    missing = [name for name in needed if name not in columns]
    if missing:
        raise RequestError(
            f"the dataset has no column {missing[0]!r}: it has {', '.join(sorted(columns))}; "
            "preference rows have chosen, rejected and prompt (dataset.rename_columns renames)"
        )


def refuse_empty(data: Any, max_length: int | None) -> None:
    """Say that no row was left to train on.

    Raises:
      RequestError: so it is.
    """
    if hasattr(data, "__len__") and not len(data):
        raise RequestError(f"no row is left: in all, {_why(max_length)}; raise max_length")


def _columns(data: Any) -> list[str]:
    if getattr(data, "column_names", None) is not None:
        return list(data.column_names)
    if not len(data):
        raise RequestError("the dataset is empty: give it at least one row")
    return list(data[0])


def _joined(prompt: Any, response: Any, tokenizer: Any) -> Any:
    if not isinstance(prompt, str):
        return [*prompt, *response]
    end = tokenizer.eos_token or ""
    return prompt + response + ("" if response.endswith(end) else end)


def _split(chosen: Any, rejected: Any) -> dict[str, Any]:
    """Take the prompt off two texts or conversations that begin with it."""
    at = _common(chosen, rejected)
    if isinstance(chosen, str) and chosen[at - 1 : at] == " ":
        at -= 1  # the space belongs to the responses
    return {"prompt": chosen[:at], "chosen": chosen[at:], "rejected": rejected[at:]}


def _common(one: Any, other: Any) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _says_something(row: Row, max_length: int | None) -> bool:
    room = max_length is None or len(row["prompt_ids"]) < max_length
    return bool(room and len(row["chosen_ids"]) and len(row["rejected_ids"]))


def _report(before: Any, after: Any, max_length: int | None) -> None:
    if not hasattr(after, "__len__"):
        return
    refuse_empty(after, max_length)
    if dropped := len(before) - len(after):
        why = _why(max_length)
        warnings.warn(f"{dropped} of {len(before)} rows dropped: {why}", stacklevel=3)


def _why(max_length: int | None) -> str:
    return "a response has no token" + (f" within {max_length}" if max_length else "")


def numbers(row: Row) -> Iterable[tuple[str, float]]:
    """Yield the reference log-probabilities and rewards that a row has."""
    for name in (*REFERENCE, *REWARD):
        if row.get(name) is not None:
            yield name, float(row[name])
