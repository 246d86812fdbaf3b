/* What all widgets share: loading when scrolled to, numbers from text, networks of dense layers, small pictures.

A page that was opened from disk may not fetch, but it may add scripts.  So each widget is a script of its own, and its
numbers are another, which calls back here; both are added when the reader comes near.  Until then, and without
scripts, the page shows a still picture. */
"use strict";

var genclustWidgets = (() => {
  const data = {}; // numbers by the name of their script
  const kinds = {}; // what starts a widget, by its name
  const running = {}; // what started widgets offer, by their name
  const folder = document.currentScript.src.replace(/[^/]*$/, "");
  const loaded = new Map();

  /** Add a script once; resolves when it has run. */
  function load(name) {
    if (!loaded.has(name)) {
      loaded.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `${folder}${name}.js`;
        script.onload = resolve;
        script.onerror = () => reject(new Error(`${name}.js is missing`));
        document.head.append(script);
      }));
    }
    return loaded.get(name);
  }

  // Numbers: see genclust.book.widgets.packing.

  const base = 93;
  const levels = new Uint8Array(127);
  for (let code = 32, level = 0; code < 127; code++) {
    if (code !== 34 && code !== 92) levels[code] = level++;
  }

  /** Integers from text of one or two characters each. */
  function integers(text, characters) {
    const found = new Uint16Array(text.length / characters);
    for (let i = 0; i < found.length; i++) {
      for (let c = 0; c < characters; c++) {
        found[i] = found[i] * base + levels[text.charCodeAt(i * characters + c)];
      }
    }
    return found;
  }

  /** Numbers from rows of levels, each of which has a scale. */
  function numbers(packed) {
    const middle = (base ** packed.characters - 1) / 2;
    const scales = Float32Array.from(integers(packed.scales, 2), (step) => step / (base * base - 1) * packed.largest);
    const found = integers(packed.text, packed.characters);
    const width = found.length / scales.length;
    return Float32Array.from(found, (level, i) => (level - middle) * scales[Math.floor(i / width)]);
  }

  // Networks.

  const activations = {
    "": (a) => a,
    relu: (a) => Math.max(a, 0),
    leaky: (a) => (a > 0 ? a : 0.01 * a),
    tanh: Math.tanh,
    sigmoid: (a) => 1 / (1 + Math.exp(-a)),
  };

  /** Dense layers with their weights as numbers. */
  function network(layers) {
    return layers.map((layer) => ({ ...layer, weight: numbers(layer.weight), bias: numbers(layer.bias) }));
  }

  /** Output of a network; the weights of an output lie side by side. */
  function run(layers, input) {
    let values = input;
    for (const { inputs, outputs, weight, bias, activation } of layers) {
      const next = new Float32Array(outputs);
      for (let j = 0; j < outputs; j++) {
        let sum = bias[j];
        for (let i = 0, at = j * inputs; i < inputs; i++) sum += weight[at + i] * values[i];
        next[j] = activations[activation](sum);
      }
      values = next;
    }
    return values;
  }

  function softmax(logits) {
    const most = Math.max(...logits);
    const powers = Array.from(logits, (logit) => Math.exp(logit - most));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  }

  /** A decoder: write(style, k) gives the grey values of all pixels, those that the model never writes on being zero. */
  function writer(packed) {
    const pixels = places(packed.pixels);
    const stages = packed.stages.map((stage) => ({ ...stage, layers: network(stage.layers) }));

    function write(style, k) {
      let values = style;
      for (const stage of stages) {
        if (stage.seesCluster) {
          const cluster = new Float32Array(packed.clusters);
          cluster[k] = 1;
          values = Float32Array.of(...values, ...cluster);
        }
        values = run(stage.layers, values);
        if (stage.perCluster) {
          const width = values.length / packed.clusters;
          values = values.slice(k * width, (k + 1) * width);
        }
      }
      const picture = new Float32Array(integers(packed.pixels, 1).length);
      pixels.forEach((pixel, i) => { picture[pixel] = values[i]; });
      return picture;
    }
    return { write, clusters: packed.clusters, directions: packed.directions };
  }

  /** Places of the ones in a text of zeros and ones. */
  function places(text) {
    return Array.from(integers(text, 1).keys()).filter((i) => levels[text.charCodeAt(i)]);
  }

  // The page.

  /** An element with attributes and children; attributes that are functions listen to events of that name. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") element.addEventListener(name, value);
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  /** A canvas for a square picture of so many pixels; style sheets decide how large it is shown. */
  function picture(side, label) {
    return make("canvas", { class: "picture", width: side, height: side, role: "img", "aria-label": label });
  }

  /** Paint grey values as black ink; on dark pages a style sheet inverts it. */
  function paint(canvas, values) {
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    values.forEach((value, i) => { image.data[4 * i + 3] = 255 * value; });
    context.putImageData(image, 0, 0);
  }

  /** A labelled choice: options are pairs of value and text. */
  function choice(label, options, change) {
    const select = make("select", { change: () => change(select.value) });
    select.append(...options.map(([value, text]) => make("option", { value }, text)));
    return [make("label", {}, `${label} `, select), select];
  }

  /** Where a pointer is in an element, from 0 to 1 in both directions. */
  function position(event, element) {
    const box = element.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  /** What arrow keys mean, right and down being positive; null for other keys. */
  function arrow(event) {
    return { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || null;
  }

  /** The colours of the book's figures, for classes and clusters. */
  const colours = ["#6078fc", "#f09c30", "#d83c0c", "#60c09c", "#cc60b4", "#6c786c", "#c09cfc", "#7824a8", "#9c0c18", "#185460"];

  /** Place on a canvas of a point between -1 and 1 in both directions, y pointing up. */
  function onCanvas(canvas, [x, y]) {
    const reach = 0.48;
    return [canvas.width * (0.5 + reach * x), canvas.height * (0.5 - reach * y)];
  }

  /** Points as dots in the colours of their groups, the chosen one with a ring. */
  function scatter(canvas, points, groups, chosen) {
    const brush = canvas.getContext("2d");
    brush.clearRect(0, 0, canvas.width, canvas.height);
    points.forEach((point, i) => {
      brush.fillStyle = colours[groups[i]];
      brush.beginPath();
      brush.arc(...onCanvas(canvas, point), 0.009 * canvas.width, 0, 7);
      brush.fill();
    });
    if (chosen === undefined) return;
    brush.strokeStyle = "#797979";
    brush.lineWidth = 4;
    brush.beginPath();
    brush.arc(...onCanvas(canvas, points[chosen]), 0.022 * canvas.width, 0, 7);
    brush.stroke();
  }

  /** Index of the point nearest to a place on a canvas, from 0 to 1 in both directions. */
  function nearest(canvas, points, [x, y]) {
    const distances = points.map((point) => {
      const [px, py] = onCanvas(canvas, point);
      return (px / canvas.width - x) ** 2 + (py / canvas.height - y) ** 2;
    });
    return distances.indexOf(Math.min(...distances));
  }

  /** Index of the nearest point that lies in a direction from a chosen one; the chosen one if there is none. */
  function further(points, chosen, [right, down]) {
    let [best, least] = [chosen, Infinity];
    points.forEach(([x, y], i) => {
      const [dx, dy] = [x - points[chosen][0], points[chosen][1] - y];
      const along = dx * right + dy * down;
      const distance = Math.hypot(dx, dy);
      if (i !== chosen && along >= 0.7 * distance && distance < least) [best, least] = [i, distance];
    });
    return best;
  }

  /** Pairs of numbers that lie side by side. */
  function pairs(values) {
    return Array.from({ length: values.length / 2 }, (_, i) => [values[2 * i], values[2 * i + 1]]);
  }

  async function start(figure) {
    const name = figure.dataset.widget;
    try {
      await Promise.all([name, ...figure.dataset.needs.split(" ")].map(load));
      const stage = make("div", { class: "widget-stage" });
      running[name] = await kinds[name](stage);
      figure.querySelector(".widget-still").replaceWith(stage);
      figure.classList.add("running");
    } catch (error) {
      console.error(`widget ${name}: ${error.message}`); // the still picture stays
    }
  }

  function watch() {
    const observer = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (isIntersecting) {
          observer.unobserve(target);
          start(target);
        }
      }
    }, { rootMargin: "100px" });
    document.querySelectorAll("figure.widget").forEach((figure) => observer.observe(figure));
  }

  document.addEventListener("DOMContentLoaded", watch);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  return {
    data, kinds, running, integers, numbers, network, run, softmax, writer, places,
    make, picture, paint, choice, position, arrow, calm, colours, onCanvas, scatter, nearest, further, pairs,
  };
})();
