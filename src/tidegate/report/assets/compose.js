(function (T) {
  // One token drawn with probabilities proportional to exp(log / temperature), except the unknown token; at temperature 0
  // the most likely one.
  function draw(logs, temperature, never) {
    let best = -1;
    for (let i = 0; i < logs.length; i++) if (i !== never && (best < 0 || logs[i] > logs[best])) best = i;
    if (temperature === 0) return best;
    const weights = logs.map((log, i) => (i === never ? 0 : Math.exp((log - logs[best]) / temperature)));
    let left = Math.random() * weights.reduce((a, b) => a + b, 0);
    for (let i = 0; i < weights.length; i++) if ((left -= weights[i]) < 0) return i;
    return best;
  }

  // The reader's own text, and the button with which each model continues it.
  T.composer = function (holder, app) {
    const area = T.make("textarea", {
      rows: 2,
      placeholder: "Type or paste your own text here: the models read it as you type.",
      "aria-label": "Your own text",
      spellcheck: "false",
    });
    if (app.runs.length === 1) area.placeholder = "Type or paste your own text here: the model reads it as you type.";
    const write = T.make("button", {
      type: "button",
      text: app.runs.length > 1 ? "Continue with both models" : "Continue the text",
    });
    const back = T.make("button", { type: "button", text: "Back to the stored passage" });
    const temperature = T.make("input", {
      type: "range",
      min: 0,
      max: 1.5,
      step: 0.05,
      value: 0.7,
      "aria-label": "Temperature",
    });
    const value = T.make("output", { text: "0.7" });
    temperature.addEventListener("input", () => {
      value.textContent = T.number(Number(temperature.value));
    });
    let typing = null,
      writing = null;

    function stop() {
      clearTimeout(writing);
      writing = null;
      write.textContent = app.runs.length > 1 ? "Continue with both models" : "Continue the text";
    }
    area.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => {
        stop();
        app.read(area.value, area.value === "");
      }, 180);
    });
    back.addEventListener("click", () => {
      stop();
      area.value = "";
      app.read("", true);
    });

    function turn() {
      const until = performance.now() + 20;
      let room = true;
      while (room && performance.now() < until) {
        app.runs.forEach((run, k) => {
          const trace = app.traces[k];
          if (trace.length >= T.LONGEST) {
            room = false;
            return;
          }
          if (trace.lastLogs().some(Number.isNaN)) {
            room = false;
            app.say(
              "The model cannot continue the text: its scores are no longer finite, because its state has grown without bound.",
            );
            return;
          }
          const index = draw(trace.lastLogs(), Number(temperature.value), run.unknown);
          trace.push(index, T.textOf(run, index, trace.shown[trace.length - 1]));
        });
      }
      app.grew();
      if (room) writing = setTimeout(turn, 60);
      else {
        stop();
        if (app.traces.some((trace) => trace.length >= T.LONGEST))
          app.say(`The page computes at most ${T.number(T.LONGEST)} tokens.`);
      }
    }
    write.addEventListener("click", () => {
      if (writing) {
        stop();
        return;
      }
      if (app.traces.some((trace) => !trace.live || trace.ready < trace.length || !trace.length)) {
        app.say("Type some text first: the model continues it.");
        return;
      }
      for (const trace of app.traces) trace.writtenFrom ??= trace.length;
      write.textContent = "Stop";
      turn();
    });
    holder.append(
      area,
      T.make(
        "div",
        { class: "row" },
        write,
        T.make(
          "label",
          { title: "0: always the most likely token; 1: tokens with the probabilities of the model; above 1: unlikely tokens more often" },
          "temperature",
          temperature,
          value,
        ),
        back,
      ),
    );
  };
})(Tidegate);
