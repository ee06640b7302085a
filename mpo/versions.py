"""The versions of the packages that decide numbers."""

import importlib.metadata


def versions(*packages: str) -> dict[str, str]:
    """Return the version of each of `packages` that is installed."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
