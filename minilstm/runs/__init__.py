"""Callbacks, checkpoints and model files."""
