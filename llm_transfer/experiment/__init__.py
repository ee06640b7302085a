"""Fine-tune a language model under several objectives, on clean or faulty preferences.

    discovery finetune --objective orpo --objective closed_form --shuffled 0.5 \
        --tune 3e-4 --tune 1e-3 --tune 3e-3 --out runs/language

`study.run(Settings(...), folder)` is the same from Python. A cell, that is an objective and
a seed, is a line in `results.jsonl`; what is there is not run again.
"""
