"""Trained models as programs in other languages, generated from the traced equations of their cell."""

from tidegate.export.javascript import STORAGES, JavaScript, javascript

__all__ = ["STORAGES", "JavaScript", "javascript"]
