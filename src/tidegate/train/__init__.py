"""Training, evaluation and sampling of a language model, for the command line."""
