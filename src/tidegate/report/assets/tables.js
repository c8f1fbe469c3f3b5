(function (T) {
  const known = (v) => v !== null && v !== undefined;

  // `others` returns the cells of the values that are drawn as small dots beside a row; `columns` are their names.
  function tableOfRows(spec, columns, others) {
    const between = spec.rows.some((r) => known(r.low)) ? ["low", "high"] : [];
    return {
      columns: ["row", spec.x.label, ...between, ...columns],
      rows: spec.rows.map((r) => [r.label, r.value, ...between.map((side) => r[side]), ...others(r)]),
    };
  }
  const most = (spec) => Math.max(...spec.rows.map((r) => r.others?.length || 0));
  const faint = (spec) => spec.keys.find((k) => k.faint)?.label || "others";

  // The numbers of a figure as a table {columns, rows}: for the download and for the folded table.
  T.tableOf = function (spec) {
    if (spec.kind === "rows") {
      const ends = most(spec) ? [`${faint(spec)}: least`, `${faint(spec)}: largest`] : [];
      return tableOfRows(spec, ends, (r) =>
        ends.map((_, k) => (r.others?.length ? (k ? Math.max : Math.min)(...r.others.filter(known)) : null)),
      );
    }
    const named = (words) => (spec.y.scale === "exponent" ? `log10 of ${words}` : words);
    const columns = [
      "series",
      ...(spec.series.some((s) => s.units) ? ["unit"] : []),
      spec.x.label,
      named(spec.y.label),
      ...(spec.series.some((s) => s.low) ? [named("low"), named("high")] : []),
    ];
    const rows = spec.series.flatMap((s) =>
      s.x.map((x, k) => [
        s.label,
        ...(columns[1] === "unit" ? [s.units?.[k]] : []),
        x,
        s.y[k],
        ...(columns.includes(named("low")) ? [s.low?.[k], s.high?.[k]] : []),
      ]),
    );
    return { columns, rows };
  };

  // The same with every value of the rows' `others`, one in a column.
  T.downloadOf = function (spec) {
    if (spec.kind !== "rows") return T.tableOf(spec);
    const columns = Array.from({ length: most(spec) }, (_, k) => `${faint(spec)}: ${k + 1}`);
    return tableOfRows(spec, columns, (r) => columns.map((_, k) => r.others?.[k]));
  };

  // A cell that begins like a formula is quoted, so that a spreadsheet does not run it.
  function cell(value) {
    const text = value === null || value === undefined ? "" : String(value);
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? "'" + text : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }

  T.csv = ({ columns, rows }) => [columns, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";

  T.save = function (name, text, type) {
    const link = T.make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  // The line under a figure: download, and the table, which is made when it is opened.
  T.tools = function (holder, spec) {
    const details = folded(() => T.tableOf(spec));
    holder.append(T.make("div", { class: "tools" }, download(spec.id, () => T.downloadOf(spec)), details));
  };

  // The download alone, for a figure of too many numbers for a table.
  T.download = (holder, id, table) => holder.append(T.make("div", { class: "tools" }, download(id, table)));

  const download = (id, table) =>
    T.make("button", {
      type: "button",
      text: "Download CSV",
      onclick: () => T.save(`${id}.csv`, T.csv(table()), "text/csv"),
    });

  function folded(table) {
    const body = T.make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "data table" });
    const details = T.make(
      "details",
      {
        ontoggle: () => {
          if (!details.open || body.firstChild) return;
          const { columns, rows } = table();
          body.append(
            T.make(
              "table",
              {},
              T.make("thead", {}, T.make("tr", {}, ...columns.map((c) => T.make("th", { scope: "col", text: c })))),
              T.make(
                "tbody",
                {},
                ...rows.slice(0, 2000).map((row) =>
                  T.make(
                    "tr",
                    {},
                    ...row.map((v) =>
                      T.make("td", {
                        text: typeof v === "number" || !known(v) ? T.number(v, 4) : v,
                      }),
                    ),
                  ),
                ),
              ),
            ),
          );
          if (rows.length > 2000)
            body.append(
              T.make("p", { class: "quiet", text: `2,000 of ${T.number(rows.length)} rows; the download has all.` }),
            );
        },
      },
      T.make("summary", { text: "Data table" }),
      body,
    );
    return details;
  }
})(Tidegate);
