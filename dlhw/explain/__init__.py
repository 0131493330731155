"""What a trained network has learnt: one module per kind of input, chosen by what the run was trained on."""
