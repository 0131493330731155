"""Networks: built from a spec and their knobs, they give logits and know nothing of tasks or data."""
