"""The `discovery` command: one file a group of subcommands, exit statuses kept in one place."""

from discovery.cli.app import main

__all__ = ["main"]
