(function (T) {
  // Warnings about a text: unknown tokens, and a length that is not read completely.
  T.warning = function (run, tokens) {
    const parts = [];
    const unknown = [...tokens.unknown]
      .slice(0, 8)
      .map((t) => `“${T.shown(t)}”`)
      .join(", ");
    if (tokens.unknown.size)
      parts.push(
        `Not in the vocabulary of the model: ${unknown}${tokens.unknown.size > 8 ? ", …" : ""}. The model reads ${tokens.unknown.size > 1 ? "them" : "it"} as the unknown token, on which it was hardly or not trained; these places are underlined.`,
      );
    if (tokens.indices.length > T.LONGEST)
      parts.push(`Only the first ${T.number(T.LONGEST)} of ${T.number(tokens.indices.length)} tokens are read.`);
    return parts.join(" ");
  };

  // How far the log-probabilities that the page computes for the stored passage differ from those of Python.
  T.confirm = function (run, trace) {
    const { largest, relative, compared } = T.replay(run, trace),
      place = document.querySelector(`[data-replay="${run.number}"]`);
    const rounding =
      run.storage === "float16" ? " Most of the difference is because the weights in this page are rounded to 16 bits." : "";
    place.textContent =
      `The log-probabilities that this page computes for ${T.number(compared)} ${T.tokenName(run)}s differ from those of Python by at most ${T.number(largest, 2)} nats.` +
      rounding;
    place.dataset.relative = String(relative);
    if (!(relative < run.tolerance))
      place.append(
        T.make("b", {
          class: "notice",
          text: " That is more than rounding explains: do not trust the numbers that this page computes.",
        }),
      );
  };
})(Tidegate);
