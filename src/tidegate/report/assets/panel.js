(function (T) {
  const SURPRISE = { low: 0, high: 8, diverging: false, above: true };
  const MODES = {
    surprise: "surprise in bits",
    unit: "",
    past: "influence, relative to the largest",
    change: "change of the prediction",
  };

  // One run beside the text: the choice of a value and a unit, the coloured text, and the details at the cursor.
  T.panel = function (container, run, number, store) {
    const heading = store.values.runs.length > 1 ? [T.make("h3", { class: run.role, text: run.name })] : [];
    const picker = T.unitPicker(run, number, store),
      legend = T.make("div", { class: "legend" });
    const text = T.make("div", {
      class: "text",
      tabindex: "0",
      role: "application",
      "aria-label": `The text, coloured, as read by ${run.name}. The arrow keys move the cursor by one ${T.tokenName(run)} or one line; a live message gives the prediction.`,
    });
    const notice = T.make("p", { class: "notice", role: "status" }),
      detail = T.make("div", { class: "detail" });
    container.append(...heading, picker.element, legend, text, notice, detail);

    let trace = null,
      spans = [],
      scale = SURPRISE,
      column = null,
      here = null;

    function chooseColours() {
      const { mode, chosen } = store.values,
        { layer, name, unit } = chosen[number];
      column = null;
      if (mode === "unit") {
        column = trace.has(layer, name, unit) ? trace.column(layer, name, unit) : new Float32Array(0);
        const range = trace.ranges[name] || [];
        scale = T.scaleOf(range[0], range[1], column);
        T.legend(legend, T.label(run, chosen[number]), scale);
      } else {
        scale = mode === "surprise" ? SURPRISE : { low: 0, high: 1, diverging: false };
        T.legend(legend, MODES[mode], scale);
      }
    }

    function valueAt(t) {
      switch (store.values.mode) {
        case "surprise":
          return trace.bits(t);
        case "unit":
          return t < column.length ? column[t] : null;
        case "past":
          return T.influence(run, trace, store.values.at, t);
        default:
          return trace.change ? (trace.change[t] ?? null) : null;
      }
    }

    function paint(first = 0) {
      for (let t = first; t < Math.min(trace.ready, spans.length); t++) {
        const value = valueAt(t);
        spans[t].style.backgroundColor = value === null || Number.isNaN(value) ? "" : T.colour(value, scale);
      }
    }

    function span(t) {
      const shown = trace.shown[t],
        made = T.make("span", { text: shown === "\n" ? "⏎\n" : shown });
      if (shown === "\n") made.classList.add("end");
      if (T.DIRECTIONAL.test(shown)) made.classList.add("directional");
      if (trace.unknown?.has(t)) made.classList.add("unknown");
      if (trace.changedAt === t) made.classList.add("changed");
      if (t >= (trace.writtenFrom ?? Infinity)) made.classList.add("written");
      made.t = t;
      return made;
    }

    // Add the spans of positions that the trace has and the panel does not show yet.
    function extend() {
      const from = spans.length,
        added = document.createDocumentFragment();
      for (let t = from; t < trace.length; t++) {
        spans.push(span(t));
        added.append(spans[t]);
      }
      text.append(added);
    }

    function mark() {
      here?.classList.remove("here");
      const at = Math.min(store.values.at, spans.length - 1);
      here = spans[at];
      if (!here) return;
      here.classList.add("here");
      const top = here.offsetTop - text.clientTop,
        bottom = top + here.offsetHeight;
      if (top < text.scrollTop || bottom > text.scrollTop + text.clientHeight)
        text.scrollTop = top - text.clientHeight / 2;
      T.details(detail, run, trace, at, store.values.chosen[number]);
    }

    function recolour() {
      if (!trace) return;
      chooseColours();
      paint();
    }

    const move = (to) => store.set({ at: Math.max(0, Math.min(trace.length - 1, to)) });
    function lineAbove(t, sign) {
      const x = spans[t].offsetLeft,
        y = spans[t].offsetTop;
      let best = null;
      for (let k = t + sign; k >= 0 && k < spans.length; k += sign) {
        const rows = Math.round(Math.abs(spans[k].offsetTop - y) / spans[t].offsetHeight);
        if (rows > 1 && best !== null) break;
        if (rows >= 1 && (best === null || Math.abs(spans[k].offsetLeft - x) < Math.abs(spans[best].offsetLeft - x)))
          best = k;
      }
      return best ?? t;
    }
    text.addEventListener("keydown", (event) => {
      const at = Math.min(store.values.at, trace.length - 1);
      const to = {
        ArrowLeft: () => at - 1,
        ArrowRight: () => at + 1,
        Home: () => 0,
        End: () => trace.length - 1,
        ArrowUp: () => lineAbove(at, -1),
        ArrowDown: () => lineAbove(at, 1),
      }[event.key];
      if (!to || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      move(to());
      T.announce(T.sentenceAt(run, trace, store.values.at, store.values.chosen[number]));
    });
    text.addEventListener("pointerover", (event) => {
      if (event.target.t !== undefined && event.pointerType !== "touch") move(event.target.t);
    });
    text.addEventListener("click", (event) => {
      if (event.target.t !== undefined) move(event.target.t);
    });

    store.on("mode chosen", recolour);
    store.on("at", () => {
      if (!trace) return;
      if (store.values.mode === "past") paint();
      mark();
    });
    store.on("chosen", () => {
      if (trace) mark();
    });
    document.addEventListener("theme", recolour);

    return {
      element: container,
      show(made) {
        trace = made;
        spans = [];
        here = null;
        text.replaceChildren();
        extend();
        chooseColours();
        mark();
      },
      // After more positions were computed: only these are painted, unless the range of the colours has changed.
      progress(from) {
        extend();
        const before = scale.high;
        chooseColours();
        paint(scale.high === before ? from : 0);
        mark();
      },
      said: () => notice.textContent,
      say(words) {
        notice.textContent = words;
      },
    };
  };

  // The influence of the input at t on the prediction after `at`, largest = 1; null where it is not known.
  T.influence = function (run, trace, at, t) {
    const c = run.connectivity;
    if (!c || !trace.passage || t > at || at < c.first || at >= c.first + c.rows) return null;
    c.data ||= T.unpack(c);
    const lag = at - t;
    return lag < c.lags ? c.data[(at - c.first) * c.lags + lag] : null;
  };
})(Tidegate);
