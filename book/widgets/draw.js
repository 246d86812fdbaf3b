/* Draw a digit: cluster probabilities, reconstruction and neighbours of the Gumbel-softmax model, live. */
"use strict";

genclustWidgets.kinds.draw = async (stage) => {
  const { data, integers, numbers, network, run, softmax, writer, places, make, picture, paint, choice, position, arrow } =
    genclustWidgets;
  const side = 28;
  const ink = 2.4; // width of a stroke, in pixels of the picture that the model sees
  const step = 1 / side; // of the pen, by an arrow key
  const shown = 6; // neighbours

  // The model.

  const reader = data["gumbel-reader"];
  const { write, clusters, directions } = writer(data["gumbel-writer"]);
  const pixels = places(reader.pixels);
  const features = network(reader.features);
  const category = network(reader.category);
  const style = network(reader.style);
  const styles = numbers(reader.neighbours);
  const perCluster = reader.neighbours.perCluster;

  const featuresOf = (image) => run(features, pixels.map((pixel) => image[pixel]));

  /** The model's own pictures, each with its features and cluster. */
  const own = [];
  async function writeOwn() {
    for (let k = 0; k < clusters; k++) {
      for (let i = 0; i < perCluster; i++) {
        const image = write(styles.slice(i * directions, (i + 1) * directions), k);
        own.push({ image, cluster: k, features: featuresOf(image) });
      }
      await new Promise((resolve) => setTimeout(resolve)); // let the page scroll on
    }
  }

  /** What the model says of an image of 784 grey values between 0 and 1. */
  function read(image) {
    const found = featuresOf(image);
    const probabilities = softmax(run(category, found));
    const cluster = probabilities.indexOf(Math.max(...probabilities));
    const distance = (other) => other.features.reduce((sum, value, i) => sum + (value - found[i]) ** 2, 0);
    const near = own.map((other, index) => [distance(other), index]).sort((a, b) => a[0] - b[0]);
    return {
      probabilities,
      cluster,
      reconstruction: write(run(style, found), cluster),
      neighbours: near.slice(0, shown).map(([, index]) => index),
    };
  }

  // The drawing: strokes of points between 0 and 1, as a picture made like those of MNIST.

  let strokes = [];

  /** Grey values of strokes that are scaled, moved and drawn on 28 × 28 pixels. */
  const sheet = make("canvas", { width: 4 * side, height: 4 * side });
  const context = sheet.getContext("2d", { willReadFrequently: true });
  function drawn(scale, x, y) {
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, sheet.width, sheet.height);
    context.setTransform(4, 0, 0, 4, 0, 0);
    context.lineWidth = ink;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of strokes) {
      context.beginPath();
      stroke.forEach((p) => context.lineTo(x + scale * p[0], y + scale * p[1]));
      context.lineTo(x + scale * stroke.at(-1)[0], y + scale * stroke.at(-1)[1]); // so that a point is a dot
      context.stroke();
    }
    const fine = context.getImageData(0, 0, sheet.width, sheet.height).data;
    const image = new Float32Array(side * side);
    for (let i = 0; i < sheet.width * sheet.height; i++) {
      const row = Math.floor(i / sheet.width / 4);
      const column = Math.floor((i % sheet.width) / 4);
      image[row * side + column] += fine[4 * i + 3] / 255 / 16;
    }
    return image;
  }

  /** As the pictures of MNIST were made: in a box of 20 × 20 pixels, then moved so that the centre of mass is central. */
  function normalised() {
    if (!strokes.length) return new Float32Array(side * side);
    const points = strokes.flat();
    const [left, top, right, bottom] = [0, 1].map((d) => Math.min(...points.map((p) => p[d])))
      .concat([0, 1].map((d) => Math.max(...points.map((p) => p[d]))));
    const scale = (20 - ink) / Math.max(right - left, bottom - top, 0.25); // a dot stays a dot
    const x = side / 2 - (scale * (left + right)) / 2;
    const y = side / 2 - (scale * (top + bottom)) / 2;
    let mass = 0;
    let [across, down] = [0, 0];
    drawn(scale, x, y).forEach((value, i) => {
      mass += value;
      across += value * ((i % side) + 0.5);
      down += value * (Math.floor(i / side) + 0.5);
    });
    return drawn(scale, x + side / 2 - across / mass, y + side / 2 - down / mass);
  }

  // The page.

  const pad = make("canvas", {
    class: "pad", width: 560, height: 560, tabindex: 0, role: "application",
    "aria-label": "Drawing area. Arrow keys move the pen, the space bar sets it down or lifts it, "
      + "Backspace takes the last stroke away.",
  });
  const seen = picture(side, "The drawing as the model sees it");
  const rebuilt = picture(side, "Reconstruction");
  const said = make("p", { class: "said", "aria-live": "polite" });
  const bars = Array.from({ length: clusters }, (_, k) => {
    const typical = picture(side, `What cluster ${k} writes at z = 0`);
    paint(typical, write(new Float32Array(directions), k));
    const bar = make("span", { class: "bar" });
    const number = make("span", { class: "number" });
    return { row: make("li", {}, make("span", { class: "title" }, `${k}`), typical, make("span", { class: "track" }, bar), number), bar, number };
  });
  const near = Array.from({ length: shown }, () => picture(side, "Neighbour"));
  const options = [["", "none"], ...Array.from("0123456789", (digit) => [digit, digit])];
  const [examples, example] = choice("Example", options, (digit) => {
    strokes = digit ? outline(digit) : [];
    lift();
    show();
  });
  stage.append(
    make("div", { class: "columns" },
      make("div", { class: "control" }, pad,
        make("p", { class: "buttons" }, make("button", { type: "button", click: clear }, "Clear"), examples)),
      make("div", { class: "outcome" },
        make("ol", { class: "bars", "aria-label": "Probability of each cluster", start: 0 }, ...bars.map((b) => b.row)))),
    said,
    make("div", { class: "strip" },
      make("div", {}, make("span", { class: "title" }, "Seen"), seen),
      make("div", {}, make("span", { class: "title" }, "Rebuilt"), rebuilt),
      make("div", { class: "wide" }, make("span", { class: "title" }, "Neighbours"), make("div", { class: "tiles" }, ...near))),
  );

  function show() {
    const brush = pad.getContext("2d");
    brush.clearRect(0, 0, pad.width, pad.height);
    brush.lineWidth = 0.08 * pad.width;
    brush.lineCap = brush.lineJoin = "round";
    for (const stroke of strokes) {
      brush.beginPath();
      [...stroke, stroke.at(-1)].forEach((p) => brush.lineTo(p[0] * pad.width, p[1] * pad.height));
      brush.stroke();
    }
    if (document.activeElement === pad && byKeys) {
      brush.lineWidth = 3;
      brush.strokeStyle = down ? "#d83c0c" : "#797979";
      brush.beginPath();
      brush.arc(pen[0] * pad.width, pen[1] * pad.height, 0.06 * pad.width, 0, 7);
      brush.stroke();
      brush.strokeStyle = "#000";
    }
    const image = normalised();
    paint(seen, image);
    const empty = !strokes.length;
    const { probabilities, cluster, reconstruction, neighbours } = read(image);
    bars.forEach(({ row, bar, number }, k) => {
      const percent = empty ? 0 : 100 * probabilities[k];
      bar.style.width = `${percent}%`;
      number.textContent = empty ? "" : `${percent.toFixed(percent < 10 ? 1 : 0)} %`;
      row.classList.toggle("most", !empty && k === cluster);
    });
    paint(rebuilt, empty ? image : reconstruction);
    near.forEach((canvas, i) => {
      const neighbour = own[neighbours[i]];
      paint(canvas, empty || !neighbour ? new Float32Array(side * side) : neighbour.image);
      if (neighbour) canvas.setAttribute("aria-label", `Neighbour ${i + 1}, of cluster ${neighbour.cluster}`);
    });
    said.textContent = empty
      ? "Draw a digit, or choose an example."
      : `Most probable: cluster ${cluster}, ${(100 * probabilities[cluster]).toFixed(0)} %.`;
  }

  // By mouse, pen and finger.

  let drawing = false;
  const within = (event) => position(event, pad).map((value) => Math.min(Math.max(value, 0), 1));
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    byKeys = false;
    drawing = true;
    begin(within(event));
    show();
  });
  pad.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    strokes.at(-1).push(within(event));
    show();
  });
  for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => { drawing = false; });

  // By keys.

  let pen = [0.5, 0.5];
  let down = false;
  let byKeys = false;
  function lift() { down = false; }
  /** Begin a stroke, on a clean sheet if an example lies there. */
  function begin(point) {
    if (example.value) strokes = [];
    example.value = "";
    strokes.push([point]);
  }
  function clear() {
    strokes = [];
    example.value = "";
    lift();
    show();
  }
  pad.addEventListener("keydown", (event) => {
    const direction = arrow(event);
    if (direction) {
      pen = pen.map((value, d) => Math.min(Math.max(value + direction[d] * step * (event.shiftKey ? 3 : 1), 0), 1));
      if (down) strokes.at(-1).push(pen);
    } else if (event.key === " ") {
      down = !down;
      if (down) begin(pen);
    } else if (event.key === "Backspace") {
      strokes.pop();
      lift();
    } else {
      return;
    }
    event.preventDefault();
    byKeys = true;
    show();
  });
  pad.addEventListener("blur", show);

  /** An example of each digit, drawn from lines and arcs [x, y, radius x, radius y, from, to], angles in quarter turns. */
  function outline(digit) {
    const arc = (x, y, rx, ry, from, to) => Array.from({ length: 25 }, (_, i) => {
      const angle = ((from + ((to - from) * i) / 24) * Math.PI) / 2;
      return [x + rx * Math.cos(angle), y + ry * Math.sin(angle)];
    });
    return {
      0: [arc(0.5, 0.5, 0.2, 0.32, -1, 3)],
      1: [[[0.54, 0.16], [0.46, 0.84]]],
      2: [[...arc(0.48, 0.33, 0.19, 0.17, -2, 0.4), [0.3, 0.8], [0.72, 0.8]]],
      3: [[...arc(0.46, 0.33, 0.19, 0.17, -1.8, 1), ...arc(0.46, 0.66, 0.22, 0.17, -1, 1.8)]],
      4: [[[0.36, 0.18], [0.3, 0.52], [0.68, 0.52]], [[0.64, 0.2], [0.58, 0.84]]],
      5: [[[0.68, 0.18], [0.4, 0.18], [0.36, 0.46], ...arc(0.46, 0.63, 0.21, 0.19, -1.2, 1.7)]],
      6: [[[0.6, 0.16], [0.42, 0.4], ...arc(0.49, 0.65, 0.17, 0.18, 2.3, 6.3)]],
      7: [[[0.3, 0.2], [0.7, 0.2], [0.46, 0.84]]],
      8: [[...arc(0.5, 0.33, 0.15, 0.15, 1, -3), ...arc(0.5, 0.66, 0.18, 0.18, -1, 3)]],
      9: [[...arc(0.48, 0.35, 0.17, 0.17, 0, -4), [0.62, 0.6], [0.56, 0.84]]],
    }[digit];
  }

  await writeOwn();
  example.value = "3";
  strokes = outline("3");
  show();
  return { read, own, draw: (digit) => { strokes = outline(digit); show(); return normalised(); } };
};
