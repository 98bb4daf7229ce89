"""Keras's names: what its users may expect, and what to write instead."""
