(function (T) {
  const MODES = [
    ["surprise", "Surprise"],
    ["unit", "One unit"],
    ["past", "What mattered"],
    ["change", "What if"],
  ];

  const HINTS = {
    surprise:
      "The stronger the colour of a character, the less the model expected it: 1 bit is a chance of one half, 2 bits a quarter, 8 bits 1 in 256.",
    unit: "The value of one unit after it has read each character.",
    past: "Point at a character: those before it are coloured by how much they influenced the prediction that follows it.",
    change: "How much the prediction after each character has changed.",
  };

  // The buttons that choose by what the text is coloured, and what the colours mean.
  T.modes = function (store, available) {
    const buttons = MODES.filter(([mode]) => available.includes(mode)).map(([mode, words]) =>
      T.make("button", { type: "button", text: words, "data-mode": mode, onclick: () => store.set({ mode }) }),
    );
    const refresh = () =>
      buttons.forEach((b) => {
        b.setAttribute("aria-pressed", String(b.dataset.mode === store.values.mode));
        if (b.dataset.mode === "change") b.hidden = store.values.mode !== "change";
        if (b.dataset.mode === "past") b.disabled = Boolean(store.values.text) && !store.values.text[0].passage;
      });
    const hint = T.make("p", { class: "quiet" });
    const explain = () => {
      const { mode, chosen, runs } = store.values;
      hint.textContent = HINTS[mode];
      hint.hidden = mode === "unit" && runs.every((run, k) => T.meaning(run, chosen[k]));
    };
    store.on("mode text", refresh);
    store.on("mode chosen", explain);
    refresh();
    explain();
    const group = T.make("div", { class: "group", role: "group", "aria-label": "Colour the text by" }, ...buttons);
    return T.make(
      "div",
      {},
      T.make("div", { class: "row" }, T.make("span", { text: "Colour the text by" }), group),
      hint,
    );
  };
})(Tidegate);
