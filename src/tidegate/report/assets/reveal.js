(function (T) {
  let back = null;

  // Where the text is above the results instead of beside them (style.css): scrolls to the text of run `k`, with a button
  // that leads back to the element `from`, which is in a `what`: "table" or "figure".
  T.reveal = function (k, from, what) {
    back?.remove();
    back = null;
    if (getComputedStyle(document.getElementById("reader")).position === "sticky") return;
    const panel = document.querySelectorAll(".panel")[k];
    back = T.make("button", {
      type: "button",
      class: "back",
      text: `Back to the ${what}`,
      onclick: () => {
        back.remove();
        back = null;
        from.scrollIntoView({ block: "center" });
        (from.matches("button") ? from : from.querySelector(".plot")).focus({ preventScroll: true });
      },
    });
    panel.prepend(back);
    panel.scrollIntoView({ block: "start" });
    back.focus({ preventScroll: true });
  };
})(Tidegate);
