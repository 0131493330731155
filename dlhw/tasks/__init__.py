"""LightningModules: what is learnt from a batch, what is measured on a split."""
