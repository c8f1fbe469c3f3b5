"""Which units of a language model follow which features of a text, and whether the model needs them."""
