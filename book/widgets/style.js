/* One style, every cluster: three models write the style under the pointer in each of their clusters. */
"use strict";

genclustWidgets.kinds.style = async (stage) => {
  const { data, writer, make, picture, paint, choice, position, arrow } = genclustWidgets;
  const side = 28;
  const reach = 3; // standard deviations of the prior, to either side
  const step = 0.25;

  const models = [
    { name: "gumbel", title: "Gumbel-softmax" },
    { name: "gmvae", title: "GMVAE" },
    { name: "cagem", title: "CaGeM" },
  ].map((model) => ({ ...model, ...writer(data[`${model.name}-writer`]) }));
  const directions = Math.max(...models.map((model) => model.directions));

  let style = new Float32Array(directions);
  let pair = 0; // the pad moves directions pair and pair + 1

  const handle = make("span", { class: "handle" });
  const pad = make("div", {
    class: "pad plane", tabindex: 0, role: "slider", "aria-valuemin": -reach, "aria-valuemax": reach,
    "aria-label": "Style, in two directions. Arrow keys move it.",
  }, handle);
  const pairs = Array.from({ length: directions / 2 }, (_, i) => [2 * i, `${2 * i + 1} and ${2 * i + 2}`]);
  const [axes] = choice("Directions", pairs, (value) => {
    pair = Number(value);
    show();
  });
  const said = make("p", { class: "said" });
  const rows = models.map((model) => {
    const canvases = Array.from({ length: model.clusters }, (_, k) => picture(side, `${model.title}, cluster ${k}`));
    return { model, canvases, row: make("div", { class: "tiles clusters", role: "group", "aria-label": model.title }, ...canvases) };
  });
  stage.append(
    make("div", { class: "columns" },
      make("div", { class: "control" }, pad,
        make("p", { class: "buttons" }, axes,
          make("button", { type: "button", click: () => set(new Float32Array(directions)) }, "Zero"),
          make("button", { type: "button", click: () => set(style.map(gaussian)) }, "Random")),
        said),
      make("div", { class: "outcome" }, ...rows.map(({ model, row }) =>
        make("div", { class: "model" }, make("span", { class: "title" }, model.title), row)))),
  );

  /** A number from N(0, 1), by Box and Muller. */
  function gaussian() {
    return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  }

  function set(values) {
    style = Float32Array.from(values, (value) => Math.min(Math.max(value, -reach), reach));
    show();
  }

  function show() {
    const [x, y] = [style[pair], style[pair + 1]];
    handle.style.left = `${(50 * (x + reach)) / reach}%`;
    handle.style.top = `${(50 * (reach - y)) / reach}%`;
    const text = `Direction ${pair + 1}: ${x.toFixed(2)}, direction ${pair + 2}: ${y.toFixed(2)}`.replaceAll("-", "−");
    pad.setAttribute("aria-valuenow", x.toFixed(2));
    pad.setAttribute("aria-valuetext", text);
    said.textContent = text;
    for (const { model, canvases } of rows) {
      canvases.forEach((canvas, k) => paint(canvas, model.write(style.slice(0, model.directions), k)));
    }
  }

  let dragging = false;
  let asked = false;
  /** Show at most once per frame, since a pointer moves more often. */
  function move(event) {
    const [x, y] = position(event, pad);
    const values = Float32Array.from(style);
    values[pair] = reach * (2 * x - 1);
    values[pair + 1] = reach * (1 - 2 * y);
    style = values.map((value) => Math.min(Math.max(value, -reach), reach));
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      show();
    });
  }
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    dragging = true;
    move(event);
  });
  pad.addEventListener("pointermove", (event) => { if (dragging) move(event); });
  for (const end of ["pointerup", "pointercancel"]) pad.addEventListener(end, () => { dragging = false; });
  pad.addEventListener("keydown", (event) => {
    const direction = arrow(event);
    if (!direction) return;
    event.preventDefault();
    const values = Float32Array.from(style);
    values[pair] += step * direction[0];
    values[pair + 1] -= step * direction[1];
    set(values);
  });

  show();
  return { write: (name, values, k) => models.find((model) => model.name === name).write(Float32Array.from(values), k), set };
};
