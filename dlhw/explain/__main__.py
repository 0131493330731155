"""Figures and tables of what a trained network has learnt: python -m dlhw.explain run=outputs/rbp/rbp_cnn/seed-0"""

from dlhw import command
from dlhw.explain.command import main

if __name__ == "__main__":
    command.run(main)
