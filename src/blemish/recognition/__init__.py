"""Recognition: does a photograph show the object that a bundle was trained for?"""

from blemish.recognition.learn import learn_object
from blemish.recognition.recognizer import Recognizer

__all__ = ["Recognizer", "learn_object"]
