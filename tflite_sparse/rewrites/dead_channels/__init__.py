"""Remove channels that are constant or that nobody reads from a dense model, without a change of its outputs."""
