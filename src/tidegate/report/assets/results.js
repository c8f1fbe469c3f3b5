(function (T) {
  // A page of sections alone, without a text.
  T.results = function () {
    const data = JSON.parse(document.getElementById("data").textContent);
    T.themes(document.getElementById("theme"));
    T.figures(data, null);
  };
})(Tidegate);
