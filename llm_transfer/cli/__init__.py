"""Subcommands of `discovery` that this package brings along."""
