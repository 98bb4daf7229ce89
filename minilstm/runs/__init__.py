"""What surrounds training: callbacks, checkpoints, and models in files."""
