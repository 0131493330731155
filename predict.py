"""What a trained network says about pictures, RNA, words or text lines: python predict.py run=RUN_FOLDER input=INPUT"""

from dlhw import command
from dlhw.predict.command import main

if __name__ == "__main__":
    command.run(main)
