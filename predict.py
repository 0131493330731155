"""Classes and probabilities of pictures: python predict.py run=outputs/digits/cnn_pool/seed-0 input=FILE_OR_FOLDER"""

from dlhw import command
from dlhw.predict.command import main

if __name__ == "__main__":
    command.run(main)
