// Surfaces drawn into a canvas by a z-buffer of our own: it works wherever the page does, with or
// without a graphics card. Drag turns, the wheel zooms, a double click goes back to the beginning.
"use strict";
const viewer = (() => {
  const SIZE = 640, LIGHT = [-0.35, 0.45, 0.82], COLOURS = [
    [0x44, 0x01, 0x54], [0x3b, 0x52, 0x8b], [0x21, 0x90, 0x8c], [0x5d, 0xc9, 0x63], [0xfd, 0xe7, 0x25],
  ];  // viridis
  const state = { turn: [], zoom: 1, cube: null, level: {}, cubes: [] };
  const depth = new Float32Array(SIZE * SIZE);
  let queued = false, canvas, context, image;

  // Vertices from −1 to 1, triangles, and normals averaged over the faces that meet.
  async function mesh(cube, level) {
    if (level.mesh) return level.mesh;
    const [raw, quads] = await Promise.all([unpack(level.positions, 3), unpack(level.corners, 4)]);
    const points = Float32Array.from(raw, (v) => (2 * v) / cube.steps - 1);
    const corners = new Int32Array((quads.length / 4) * 6);
    for (let i = 0, j = 0; i < quads.length; i += 4)
      for (const k of [0, 1, 2, 0, 2, 3]) corners[j++] = quads[i + k];
    const normals = new Float32Array(points.length);
    for (let i = 0; i < corners.length; i += 3) {
      const [a, b, c] = [3 * corners[i], 3 * corners[i + 1], 3 * corners[i + 2]];
      const u = [0, 1, 2].map((k) => points[b + k] - points[a + k]), v = [0, 1, 2].map((k) => points[c + k] - points[a + k]);
      const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      for (const p of [a, b, c]) for (let k = 0; k < 3; k++) normals[p + k] += n[k];
    }
    let far = 0;
    for (let i = 0; i < points.length; i += 3) far = Math.max(far, Math.hypot(points[i], points[i + 1], points[i + 2]));
    level.mesh = { points, corners, normals, far };
    return level.mesh;
  }

  // Screen x, y, depth, brightness and colour of every vertex: five numbers each.
  function project({ points, normals, far }) {
    const m = state.turn, scale = 0.46 * SIZE * state.zoom, out = new Float32Array((points.length / 3) * 5);
    for (let i = 0, j = 0; i < points.length; i += 3, j += 5) {
      const [x, y, z] = [points[i], points[i + 1], points[i + 2]];
      const [a, b, c] = [normals[i], normals[i + 1], normals[i + 2]], length = Math.hypot(a, b, c) || 1;
      out[j] = SIZE / 2 + scale * (m[0] * x + m[1] * y + m[2] * z);
      out[j + 1] = SIZE / 2 - scale * (m[3] * x + m[4] * y + m[5] * z);
      out[j + 2] = m[6] * x + m[7] * y + m[8] * z;
      const lit = LIGHT[0] * (m[0] * a + m[1] * b + m[2] * c) + LIGHT[1] * (m[3] * a + m[4] * b + m[5] * c) + LIGHT[2] * (m[6] * a + m[7] * b + m[8] * c);
      out[j + 3] = 0.3 + 0.75 * Math.max(0, lit / length);
      out[j + 4] = (Math.hypot(x, y, z) / (far || 1)) * (COLOURS.length - 1);
    }
    return out;
  }

  function fill(v, a, b, c) {
    const area = (v[b] - v[a]) * (v[c + 1] - v[a + 1]) - (v[c] - v[a]) * (v[b + 1] - v[a + 1]);
    if (area >= 0) return;  // seen from behind: screen y runs down
    const left = Math.max(0, Math.ceil(Math.min(v[a], v[b], v[c]))), right = Math.min(SIZE - 1, Math.floor(Math.max(v[a], v[b], v[c])));
    const top = Math.max(0, Math.ceil(Math.min(v[a + 1], v[b + 1], v[c + 1]))), bottom = Math.min(SIZE - 1, Math.floor(Math.max(v[a + 1], v[b + 1], v[c + 1])));
    for (let y = top; y <= bottom; y++) for (let x = left; x <= right; x++) {
      const p = ((v[b] - x) * (v[c + 1] - y) - (v[c] - x) * (v[b + 1] - y)) / area;
      const q = ((v[c] - x) * (v[a + 1] - y) - (v[a] - x) * (v[c + 1] - y)) / area;
      const r = 1 - p - q;
      if (p < 0 || q < 0 || r < 0) continue;
      const z = p * v[a + 2] + q * v[b + 2] + r * v[c + 2], at = y * SIZE + x;
      if (z <= depth[at]) continue;
      depth[at] = z;
      const shade = p * v[a + 3] + q * v[b + 3] + r * v[c + 3], hue = p * v[a + 4] + q * v[b + 4] + r * v[c + 4];
      const low = Math.min(COLOURS.length - 2, Math.floor(hue)), part = hue - low;
      for (let k = 0; k < 3; k++)
        image.data[4 * at + k] = shade * ((1 - part) * COLOURS[low][k] + part * COLOURS[low + 1][k]);
      image.data[4 * at + 3] = 255;
    }
  }

  function axes(cube) {
    const m = state.turn, ink = getComputedStyle(canvas).color, reach = 0.46 * SIZE * state.zoom;
    context.font = "600 20px system-ui, sans-serif";
    context.strokeStyle = context.fillStyle = ink;
    context.lineWidth = 2;
    ["x", "y", "z"].forEach((name, k) => {
      const x = 64 + 42 * m[k], y = SIZE - 64 - 42 * m[3 + k];
      context.beginPath(); context.moveTo(64, SIZE - 64); context.lineTo(x, y); context.stroke();
      context.fillText(name, 64 + 56 * m[k] - 5, SIZE - 64 - 56 * m[3 + k] + 6);
    });
    // A bar of a round length, a fifth of the canvas or more.
    const perUnit = reach / cube.halfWidth, least = (0.2 * SIZE) / perUnit, ten = 10 ** Math.floor(Math.log10(least));
    const length = ten * [1, 2, 5, 10].find((k) => k * ten >= least);
    const right = SIZE - 24, left = right - length * perUnit;
    context.beginPath(); context.moveTo(left, SIZE - 30); context.lineTo(right, SIZE - 30); context.stroke();
    context.textAlign = "center";
    context.fillText(`${Number(length.toPrecision(1))} ${cube.unit}`, (left + right) / 2, SIZE - 40);
    context.textAlign = "start";
  }

  async function draw() {
    queued = false;
    const cube = state.cubes.find((c) => c.name === state.cube);
    if (!cube || !cube.levels.length) return;
    const number = Math.min(state.level[cube.name], cube.levels.length - 1), level = cube.levels[number];
    const made = await mesh(cube, level), v = project(made);
    depth.fill(-1e9);
    image.data.fill(0);
    for (let i = 0; i < made.corners.length; i += 3) fill(v, 5 * made.corners[i], 5 * made.corners[i + 1], 5 * made.corners[i + 2]);
    context.putImageData(image, 0, 0);
    axes(cube);
    document.getElementById("viewer-label").textContent = level.label;
    canvas.dataset.drawn = `${cube.name} ${level.label}`;
    canvas.dataset.frames = +(canvas.dataset.frames ?? 0) + 1;
    canvas.dataset.triangles = made.corners.length / 3;
    canvas.dataset.lit = depth.reduce((sum, z) => sum + (z > -1e9), 0);
  }

  const redraw = () => { if (!queued) { queued = true; requestAnimationFrame(draw); } };

  // Turn about an axis of the screen.
  function turn(about, angle) {
    const m = state.turn, [c, s] = [Math.cos(angle), Math.sin(angle)], [i, j] = about === "x" ? [3, 6] : [6, 0];
    for (let k = 0; k < 3; k++) [m[i + k], m[j + k]] = [c * m[i + k] - s * m[j + k], s * m[i + k] + c * m[j + k]];
    redraw();
  }

  function reset() {
    Object.assign(state, { turn: [1, 0, 0, 0, 1, 0, 0, 0, 1], zoom: 1 });
    turn("y", -0.6);
    turn("x", 0.4);
  }

  const zoom = (factor) => { state.zoom = Math.min(12, Math.max(0.4, state.zoom * factor)); redraw(); };

  function controls() {
    const slider = document.getElementById("viewer-level"), choice = document.getElementById("viewer-cube");
    choice.replaceChildren(...state.cubes.map((c) => new Option(c.name, c.name, false, c.name === state.cube)));
    const cube = state.cubes.find((c) => c.name === state.cube);
    slider.max = cube.levels.length - 1;
    slider.value = state.level[cube.name];
  }

  function listen() {
    document.getElementById("viewer-level").addEventListener("input", (e) => { state.level[state.cube] = +e.target.value; redraw(); });
    document.getElementById("viewer-cube").addEventListener("change", (e) => { state.cube = e.target.value; controls(); redraw(); });
    canvas.addEventListener("pointerdown", (e) => canvas.setPointerCapture(e.pointerId));
    canvas.addEventListener("pointermove", (e) => { if (e.buttons) { turn("y", e.movementX / 120); turn("x", e.movementY / 120); } });
    canvas.addEventListener("wheel", (e) => { e.preventDefault(); zoom(Math.exp(-e.deltaY / 600)); }, { passive: false });
    canvas.addEventListener("dblclick", reset);
    canvas.addEventListener("keydown", (e) => {
      const keys = { ArrowLeft: ["y", -0.1], ArrowRight: ["y", 0.1], ArrowUp: ["x", -0.1], ArrowDown: ["x", 0.1] };
      if (keys[e.key]) { turn(...keys[e.key]); e.preventDefault(); }
      if (e.key === "+" || e.key === "-") zoom(e.key === "+" ? 1.15 : 1 / 1.15);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  // Take the page's surfaces; what the reader had turned, zoomed and chosen stays.
  function load() {
    const element = document.getElementById("viewer-canvas");
    if (!element) return;
    if (element !== canvas) {
      canvas = element;
      canvas.width = canvas.height = SIZE;
      context = canvas.getContext("2d");
      image = context.createImageData(SIZE, SIZE);
      listen();
    }
    state.cubes = JSON.parse(document.getElementById("viewer-data").textContent);
    for (const cube of state.cubes) state.level[cube.name] ??= Math.floor(cube.levels.length / 2);
    if (!state.cubes.some((c) => c.name === state.cube)) state.cube = state.cubes[state.cubes.length - 1].name;
    controls();
    redraw();
  }

  reset();
  return { load, state };
})();
viewer.load();
