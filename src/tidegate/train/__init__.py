"""Training, evaluation and sampling of a language model: what the command line, `tidegate.load` and `save` use."""
