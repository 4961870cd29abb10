for (const place of document.querySelectorAll("figure[data-stream]")) {
  const stream = found[+place.dataset.stream];
  const series = stream.points[0].slice(1).map((_, k) => ({
    name: stream.columns[k], kind: k, points: stream.points.map((row) => [row[0], row[k + 1]]),
  }));
  show(place, lines(720, 240, stream.path, series, { xLabel: "seconds" }), `stream-${place.dataset.stream}`);
}
sortableTables();
themeSwitch();
