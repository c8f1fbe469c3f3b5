(function (T) {
  const MODES = [
    ["surprise", "Surprise"],
    ["unit", "One unit"],
    ["past", "Influence"],
    ["change", "What if"],
  ];

  const HINTS = {
    surprise:
      "The stronger the colour, the lower the probability that the model gave: 1 bit of surprise is a probability of 1/2, 2 bits 1/4, 8 bits 1/256.",
    unit: "The value of one unit after each step of the text.",
    past: "Point at a place in the text: what comes before it is coloured by its influence on the prediction of what follows.",
    change: "How much the prediction after each step of the text has changed.",
  };

  // The buttons that choose the quantity by which the text is coloured, and an explanation of the colours.
  T.modes = function (store, available) {
    const buttons = MODES.filter(([mode]) => available.includes(mode)).map(([mode, words]) =>
      T.make("button", { type: "button", text: words, "data-mode": mode, onclick: () => store.set({ mode }) }),
    );
    const reason = T.make("p", {
      class: "quiet",
      id: "no-influence",
      text: "Influence is measured in Python, on the stored passage only: it is not available for your own or a changed text.",
    });
    const refresh = () => {
      const other = Boolean(store.values.text) && !store.values.text[0].passage;
      reason.hidden = !other || !available.includes("past");
      buttons.forEach((b) => {
        b.setAttribute("aria-pressed", String(b.dataset.mode === store.values.mode));
        if (b.dataset.mode === "change") b.hidden = store.values.mode !== "change";
        if (b.dataset.mode === "past") b.disabled = !reason.hidden;
      });
    };
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
      reason,
      hint,
    );
  };
})(Tidegate);
