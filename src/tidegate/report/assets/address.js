(function (T) {
  // The address keeps the choice of units and the position: #unit=17&at=120&of=h&layer=0&by=unit, with a comma between runs.
  // Returns {values, refused}: changes of the shared state, and for each run a text about what the run does not have.
  T.readAddress = function (runs) {
    const given = new URLSearchParams(location.hash.slice(1)),
      values = {},
      refused = runs.map(() => []);
    const list = (key) => (given.get(key) || "").split(",");
    const refuse = (k, what, text, allowed, instead) =>
      refused[k].push(
        `The address asks for ${what} “${text.slice(0, 40)}”, but ${allowed}: ${what} ${instead} is shown instead.`,
      );
    const whole = (k, what, text, high, otherwise) => {
      if (!text) return otherwise;
      if (/^\d+$/.test(text) && Number(text) <= high) return Number(text);
      refuse(k, what, text, high ? `the ${what}s are 0 to ${high}` : `the only ${what} is 0`, otherwise);
      return otherwise;
    };
    if (/^\d{1,6}$/.test(given.get("at") || "")) values.at = Number(given.get("at"));
    if (["surprise", "unit", "past"].includes(given.get("by"))) values.mode = given.get("by");
    if (given.has("unit")) {
      values.mode ||= "unit";
      values.chosen = runs.map((run, k) => {
        const { first } = run,
          names = [...run.states, ...run.gates],
          name = list("of")[k];
        if (name && !names.includes(name))
          refuse(k, "state or gate", name, `there are only ${names.join(", ")}`, first.name);
        return {
          unit: whole(k, "unit", list("unit")[k], run.hidden - 1, first.unit),
          name: names.includes(name) ? name : first.name,
          layer: whole(k, "layer", list("layer")[k], run.layers - 1, first.layer),
        };
      });
    }
    return { values, refused: refused.map((parts) => parts.join(" ")) };
  };

  // Keeps the address up to date, and shows what it has `refused` until another unit is chosen.
  T.keepAddress = function (app, store, refused) {
    app.sayEach(refused);
    let waiting = null,
      written = location.hash;
    const write = () => {
      const { chosen, at, mode } = store.values,
        join = (key) => chosen.map((c) => c[key]).join(",");
      written = `#unit=${join("unit")}&of=${join("name")}&layer=${join("layer")}&at=${at}&by=${mode === "change" ? "surprise" : mode}`;
      location.replace(written);
    };
    store.on("chosen at mode", () => {
      clearTimeout(waiting);
      waiting = setTimeout(write, 500);
    });
    store.on("chosen", () => app.unsay(refused));
    addEventListener("hashchange", () => {
      if (location.hash === written) return;
      const read = T.readAddress(store.values.runs);
      store.set(read.values);
      refused = read.refused;
      app.sayEach(refused);
    });
  };
})(Tidegate);
