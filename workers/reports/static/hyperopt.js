// The page of a hyperopt.
"use strict";

if (DATA.losses.length) {
  const [epochs, losses] = columnsOf(DATA.losses);
  let least = Infinity;
  const best = losses.map((loss) => (least = Math.min(least, loss)));
  plot(
    "losses",
    [epochs, losses, best],
    {
      scales: { x: { time: false }, y: { range: readable } },
      axes: [axis({ size: 28, values: (made, splits) => splits.map((value) => (Number.isInteger(value) ? String(value) : "")) }), { ...valueAxis(), values: (made, splits) => stepped(splits, format.number) }],
      series: [
        {},
        { paths: () => null, stroke: () => colour("muted"), points: { show: true, size: 5, fill: () => colour("muted"), stroke: () => colour("muted") } },
        { stroke: () => colour("accent"), width: 2, points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) },
      ],
      cursor: { y: false, drag: { x: true, y: false }, points: { show: false } },
    },
    (index) => {
      const at = index ?? epochs.length - 1;
      return `epoch ${epochs[at]}: loss ${format.number(losses[at], 5)}, best so far ${format.number(best[at], 5)}`;
    },
  );
  scatter("scatter", DATA.points);
} else {
  for (const id of ["losses", "scatter"]) document.getElementById(id).closest("section").hidden = true;
}

// A few losses of 90,000 would press all others flat: the axis ends where nine of ten lie, with some room.
function readable(made, from, to) {
  const sorted = [...DATA.losses.map((point) => point[1])].sort((a, b) => a - b);
  const most = sorted[Math.floor((sorted.length - 1) * 0.9)];
  const room = (most - sorted[0] || Math.abs(most) || 1) * 0.1;
  return [sorted[0] - room, Math.min(to, most + (most - sorted[0]) + room)];
}
showFooter();
