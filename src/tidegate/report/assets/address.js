(function (T) {
  // The address keeps the choice of units and the position: #unit=17&at=120&of=h&layer=0&by=unit, with a comma between runs.
  T.readAddress = function (runs) {
    const given = new URLSearchParams(location.hash.slice(1)),
      found = {};
    const list = (key) => (given.get(key) || "").split(",");
    const whole = (text, low, high) =>
      /^\d+$/.test(text || "") && Number(text) >= low && Number(text) <= high ? Number(text) : null;
    const at = whole(given.get("at"), 0, 1e6);
    if (at !== null) found.at = at;
    if (["surprise", "unit", "past"].includes(given.get("by"))) found.mode = given.get("by");
    if (given.has("unit")) {
      found.mode ||= "unit";
      found.chosen = runs.map((run, k) => {
        const name = list("of")[k],
          layer = whole(list("layer")[k], 0, run.layers - 1);
        return {
          unit: whole(list("unit")[k], 0, run.hidden - 1) ?? run.first.unit,
          name: [...run.states, ...run.gates].includes(name) ? name : run.first.name,
          layer: layer ?? run.first.layer,
        };
      });
    }
    return found;
  };

  T.keepAddress = function (store) {
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
    addEventListener("hashchange", () => {
      if (location.hash !== written) store.set(T.readAddress(store.values.runs));
    });
  };
})(Tidegate);
