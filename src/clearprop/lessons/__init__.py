"""Lessons: a short text over numbers that the library computes, told at once or question by question."""

from clearprop.lessons.engine import Score, tell
from clearprop.lessons.lesson import Lesson, lesson, lessons

__all__ = ["Lesson", "Score", "lesson", "lessons", "tell"]
