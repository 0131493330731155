"""What goes on beside the training: checkpoints, records, signals."""
