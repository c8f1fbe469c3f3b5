(function (T) {
  // The text as tokens of the model's kind, as in Python. Each has its text as shown; of bytes only complete
  // characters are shown, at their last byte.
  const SPLITTERS = {
    char: (text) => Array.from(text, (c) => [c, c]),
    byte(text) {
      const encoder = new TextEncoder(),
        found = [];
      for (const c of text) {
        const bytes = encoder.encode(c);
        bytes.forEach((b, k) => found.push([String.fromCharCode(b), k === bytes.length - 1 ? c : ""]));
      }
      return found;
    },
    word(text) {
      const found = [];
      for (const piece of text.match(/\n|[^\s]+/g) || []) {
        const first = !found.length || found[found.length - 1][0] === "\n" || piece === "\n";
        found.push([piece, first ? piece : " " + piece]);
      }
      return found;
    },
  };

  // As Python's preprocessing "letters" for characters: lower-case letters, one space between words, lines joined.
  const letters = (text) =>
    text
      .split("\n")
      .map((line) =>
        line
          .replace(/[^A-Za-z]+/g, " ")
          .trim()
          .toLowerCase(),
      )
      .join("");
  const letterWords = (text) =>
    text
      .split("\n")
      .map((line) =>
        line
          .replace(/[^A-Za-z]+/g, " ")
          .trim()
          .toLowerCase(),
      )
      .filter((line) => line)
      .join("\n");

  // What a token of a model is called: "character", "byte" or "word".
  T.tokenName = (run) => (run.kind === "char" ? "character" : run.kind);

  // {shown, indices, unknown}: texts, indices, and the set of tokens that are not in the vocabulary.
  T.tokenise = function (run, text) {
    if (run.preprocess === "letters") text = run.kind === "word" ? letterWords(text) : letters(text);
    run.indexOf ||= new Map(run.tokens.map((token, index) => [token, index]));
    const pairs = SPLITTERS[run.kind](text),
      unknown = new Set();
    const indices = pairs.map(([token]) => {
      const index = run.indexOf.get(token);
      if (index === undefined || (index === run.unknown && token === run.tokens[0])) unknown.add(token);
      return index ?? run.unknown;
    });
    return { shown: pairs.map(([, shown]) => shown), indices, unknown };
  };

  // The stored passage, as Python read it.
  T.passage = function (run) {
    const { shown, indices } = run.passage;
    return {
      shown: [...shown],
      indices: [...indices],
      unknown: new Set(shown.filter((_, t) => indices[t] === run.unknown)),
    };
  };

  T.textOf = (run, index, before) => {
    const token = run.tokens[index];
    return run.kind === "word" && token !== "\n" && before && !before.endsWith("\n") ? " " + token : token;
  };
})(Tidegate);
