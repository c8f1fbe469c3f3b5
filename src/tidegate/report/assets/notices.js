(function (T) {
  // What the reader should know of a text: unknown tokens, and what is too long to be read.
  T.warning = function (run, tokens) {
    const parts = [];
    const unknown = [...tokens.unknown]
      .slice(0, 8)
      .map((t) => `“${T.shown(t)}”`)
      .join(", ");
    if (tokens.unknown.size)
      parts.push(
        `Not in the vocabulary of the model: ${unknown}${tokens.unknown.size > 8 ? ", …" : ""}. The model reads ${tokens.unknown.size > 1 ? "them" : "it"} as one “unknown” token, for which it has little or no training; they are underlined.`,
      );
    if (tokens.indices.length > T.LONGEST)
      parts.push(`Only the first ${T.number(T.LONGEST)} of ${T.number(tokens.indices.length)} tokens are read.`);
    return parts.join(" ");
  };

  // What the page says about its own arithmetic, after it has repeated the stored passage.
  T.confirm = function (run, trace) {
    const { largest, relative, compared } = T.replay(run, trace),
      place = document.querySelector(`[data-replay="${run.number}"]`);
    const rounding =
      run.storage === "float16" ? " Its weights are rounded to 16 bits here, which is the reason for most of it." : "";
    place.textContent =
      `The model in this page repeats Python's log-probabilities of ${T.number(compared)} characters to within ${T.number(largest, 2)} nats.` +
      rounding;
    place.dataset.relative = String(relative);
    if (!(relative < run.tolerance))
      place.append(
        T.make("b", {
          class: "notice",
          text: " That is more than it should be: do not trust the live part of this page.",
        }),
      );
  };
})(Tidegate);
