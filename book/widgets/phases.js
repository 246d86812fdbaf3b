/* The plane of η and α: hover over a cell to see the latent space of a model that was trained with this pair. */
"use strict";

genclustWidgets.kinds.phases = async (stage) => {
  const { data, integers, numbers, make, choice, arrow, colours, onCanvas, scatter, pairs } = genclustWidgets;
  const { etas, alphas, median, ari, seeds, points: packed, components: packedComponents, clusters: clusterText, arms: armText } =
    data.plane;
  const arms = integers(armText, 1);
  const count = arms.length;
  const places = numbers(packed);
  const clusters = integers(clusterText, 1);
  const components = numbers(packedComponents);
  const each = components.length / median.length; // numbers of a cell's components: means and standard deviations

  let cell = 0;
  let by = "arm";

  const canvas = make("canvas", { class: "map", width: 900, height: 900, role: "img", "aria-label": "Latent space" });
  const said = make("p", { class: "said", "aria-live": "polite" });
  const buttons = median.map((value, i) => {
    const [eta, alpha] = [etas[Math.floor(i / alphas.length)], alphas[i % alphas.length]];
    const button = make("button", {
      type: "button", class: "cell", tabindex: -1, "aria-label": `η = ${eta}, α = ${alpha}: index ${Math.round(value)}`,
      pointerenter: () => show(i), focus: () => show(i), click: () => show(i),
    }, `${Math.round(value)}`);
    button.style.setProperty("--share", `${Math.max(value, 0)}%`);
    return button;
  });
  const head = (text) => make("span", { class: "head" }, text);
  const grid = make("div", { class: "grid", role: "group", "aria-label": "Cells of the phase map. Arrow keys go from cell to cell." },
    head("η \\ α"), ...alphas.map(head),
    ...[...etas].reverse().flatMap((eta, row) => {
      const first = (etas.length - 1 - row) * alphas.length;
      return [head(eta), ...buttons.slice(first, first + alphas.length)];
    }));
  grid.style.setProperty("--columns", alphas.length + 1);
  const [ofColour] = choice("Colour", [["arm", "arm of the data"], ["cluster", "cluster"]], (value) => { by = value; show(cell); });
  stage.append(
    make("p", { class: "buttons" }, ofColour),
    make("div", { class: "columns" },
      make("div", { class: "control large" }, grid),
      make("div", { class: "outcome large" }, canvas)),
    said,
  );

  function show(i) {
    buttons[cell].tabIndex = -1;
    buttons[cell].classList.remove("chosen");
    cell = i;
    buttons[cell].tabIndex = 0;
    buttons[cell].classList.add("chosen");
    const [eta, alpha] = [etas[Math.floor(i / alphas.length)], alphas[i % alphas.length]];
    const group = by === "arm" ? arms : clusters.subarray(i * count, (i + 1) * count);
    scatter(canvas, pairs(places.subarray(2 * i * count, 2 * (i + 1) * count)), group);
    const brush = canvas.getContext("2d");
    const values = components.subarray(i * each, (i + 1) * each);
    for (let k = 0; k < each / 4; k++) { // an ellipse of one standard deviation
      const [x, y, width, height] = values.subarray(4 * k, 4 * k + 4);
      const [left, top] = onCanvas(canvas, [x - width, y + height]);
      const [right, bottom] = onCanvas(canvas, [x + width, y - height]);
      brush.strokeStyle = by === "arm" ? "#797979" : colours[k];
      brush.lineWidth = 4;
      brush.beginPath();
      brush.ellipse((left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2, 0, 0, 7);
      brush.stroke();
    }
    said.textContent = `η = ${eta}, α = ${alpha}: median index of the seeds ${median[i].toFixed(0)}; `
      + `shown is seed ${seeds[i]}, with ${ari[i].toFixed(0)}.`;
  }

  grid.addEventListener("keydown", (event) => {
    const direction = arrow(event);
    if (!direction) return;
    event.preventDefault();
    const row = Math.floor(cell / alphas.length) - direction[1]; // η grows upwards
    const column = (cell % alphas.length) + direction[0];
    if (row >= 0 && row < etas.length && column >= 0 && column < alphas.length) buttons[row * alphas.length + column].focus();
  });

  show(etas.indexOf(1) * alphas.length + alphas.indexOf(2));
  return { state: () => ({ cell, by, eta: etas[Math.floor(cell / alphas.length)], alpha: alphas[cell % alphas.length] }) };
};
