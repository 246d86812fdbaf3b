/* How clusters form: a map of test digits by seed and epoch, with the digit under the pointer. */
"use strict";

genclustWidgets.kinds.map = async (stage) => {
  const { data, integers, numbers, make, picture, paint, choice, position, arrow, calm, colours, scatter, nearest, further, pairs } =
    genclustWidgets;
  const { seeds, epochs, side, map: packed, clusters: clusterText, classes: classText, digits: digitText } = data.formation;
  const classes = integers(classText, 1);
  const count = classes.length;
  const positions = numbers(packed);
  const clusters = integers(clusterText, 1);
  const digits = integers(digitText, 1);
  const milliseconds = 700; // per epoch, when played

  let seed = 0;
  let epoch = epochs.length - 1;
  let by = "cluster";
  let chosen = 0;

  const canvas = make("canvas", {
    class: "map", width: 900, height: 900, tabindex: 0, role: "application",
    "aria-label": "Map of the test digits. Arrow keys go from digit to digit.",
  });
  const digit = picture(side, "The chosen digit");
  const said = make("p", { class: "said", "aria-live": "polite" });
  const slider = make("input", {
    type: "range", min: 0, max: epochs.length - 1, value: epoch, "aria-label": "Epoch",
    input: () => { epoch = Number(slider.value); show(); },
  });
  const reached = make("output", {});
  const play = make("button", { type: "button", click: () => (timer ? stop() : begin()) }, "Play");
  const [ofSeed] = choice("Seed", seeds.map((s, i) => [i, s]), (value) => { seed = Number(value); show(); });
  const [ofColour] = choice("Colour", [["cluster", "cluster"], ["class", "class"]], (value) => { by = value; show(); });
  const legend = make("p", { class: "legend" });
  stage.append(
    make("p", { class: "buttons" }, ofSeed, ofColour, make("label", { class: "slider" }, "Epoch ", slider, reached), play),
    make("div", { class: "columns" },
      make("div", { class: "control large" }, canvas),
      make("div", { class: "outcome" }, make("div", { class: "pointed" }, digit, said), legend)),
  );

  /** Positions of all digits at the chosen seed and epoch. */
  function points() {
    const at = 2 * count * (seed * epochs.length + epoch);
    return pairs(positions.subarray(at, at + 2 * count));
  }

  /** Cluster of every digit there. */
  function groups() {
    const at = count * (seed * epochs.length + epoch);
    return clusters.subarray(at, at + count);
  }

  function show() {
    const found = groups();
    scatter(canvas, points(), by === "class" ? classes : found, chosen);
    slider.value = epoch;
    slider.setAttribute("aria-valuetext", `epoch ${epochs[epoch]}`);
    reached.textContent = ` ${epochs[epoch]}`;
    paint(digit, Array.from(digits.subarray(chosen * side * side, (chosen + 1) * side * side), (grey) => grey / 16));
    said.textContent = `Digit ${classes[chosen]}, in cluster ${found[chosen]}.`;
    const used = [...new Set(by === "class" ? classes : found)].sort((a, b) => a - b);
    legend.replaceChildren(`${by === "class" ? "Classes" : "Clusters"}: `, ...used.map((group) => {
      const dot = make("span", { class: "dot" });
      dot.style.background = colours[group];
      return make("span", { class: "entry" }, dot, `${group}`);
    }));
  }

  let timer = 0;
  function stop() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  }
  function begin() {
    epoch = 0;
    show();
    play.textContent = "Stop";
    timer = setInterval(() => {
      epoch += 1;
      show();
      if (epoch === epochs.length - 1) stop();
    }, milliseconds);
  }
  if (calm.matches) play.remove(); // the slider moves it step by step

  const choose = (event) => {
    chosen = nearest(canvas, points(), position(event, canvas));
    show();
  };
  canvas.addEventListener("pointerdown", choose);
  canvas.addEventListener("pointermove", choose);
  canvas.addEventListener("keydown", (event) => {
    const direction = arrow(event);
    if (!direction) return;
    event.preventDefault();
    chosen = further(points(), chosen, direction);
    show();
  });

  show();
  return { state: () => ({ seed, epoch: epochs[epoch], by, chosen, points: points(), clusters: [...groups()] }) };
};
