"""From a discovered objective to a language model: closed forms, export, trainers.

The only package that imports torch; install it with the [llm] extra.
"""
