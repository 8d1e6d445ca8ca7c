"""Lessons: a short text over numbers that the library computes, told at once or question by question.

Open to other folders beside the names here: `lesson`.
"""

from clearprop.lessons.engine import Score, tell
from clearprop.lessons.lesson import Lesson, lesson, lessons

__all__ = ["Lesson", "Score", "lesson", "lessons", "tell"]
