"""What a trained network says about new input: one module per kind of input, chosen by what the run was trained on."""
