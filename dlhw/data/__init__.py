"""Datamodules, one per kind of data, and the loader that cuts batches by index."""
