// Surfaces of the densities of a task, side by side: who turns one turns all.
"use strict";
const surfaces = (() => {
  const tasks = JSON.parse(document.getElementById("surfaces").textContent);
  const AXIS = { visible: false, range: [-1, 1] };
  const EYE = { eye: { x: 0.95, y: 0.8, z: 0.6 } };

  // Towards white: shades need room below.
  const lighter = (colour) => `rgb(${[1, 3, 5].map((k) => Math.round(0.65 * parseInt(colour.slice(k, k + 2), 16) + 0.35 * 255))})`;

  // Vertices in units of the cube's half-width; each quad is two triangles.
  async function mesh({ colour, cube }) {
    const [level] = cube.levels;
    const [places, quads] = await Promise.all([unpack(level.positions, 3), unpack(level.corners, 4)]);
    const axis = (k) => Float32Array.from({ length: places.length / 3 }, (_, n) => (2 * places[3 * n + k]) / cube.steps - 1);
    const corner = (a, b) => Int32Array.from({ length: quads.length / 2 }, (_, n) => quads[4 * (n >> 1) + (n & 1 ? b : a)]);
    return {
      type: "mesh3d", x: axis(0), y: axis(1), z: axis(2), i: corner(0, 0), j: corner(1, 2), k: corner(2, 3),
      color: lighter(colour), hoverinfo: "skip", flatshading: false,
      lighting: { ambient: 0.3, diffuse: 0.65, specular: 0.06, roughness: 0.9, fresnel: 0.01 },
      lightposition: { x: 100000, y: 150000, z: 100000 },
    };
  }

  async function draw(element, one) {
    const scene = { xaxis: AXIS, yaxis: AXIS, zaxis: AXIS, aspectmode: "cube", camera: EYE, dragmode: "orbit" };
    const layout = { scene, margin: { l: 0, r: 0, t: 0, b: 0 } };
    await Plotly.newPlot(element, [await mesh(one)], layout, { responsive: true, displayModeBar: false });
  }

  // The others follow the one that is turned, to where it is when they are done.
  function together(elements) {
    let leader = null, wanted = null;
    async function follow(element, camera) {
      if (!camera || (leader && element !== leader)) return;
      wanted = camera;
      if (leader) return;
      leader = element;
      while (wanted) {
        const scene = { "scene.camera": wanted };
        wanted = null;
        await Promise.all(elements.filter((one) => one !== element && one.data).map((one) => Plotly.relayout(one, scene)));
      }
      leader = null;
    }
    for (const element of elements) for (const event of ["plotly_relayouting", "plotly_relayout"])
      element.on(event, (change) => follow(element, change["scene.camera"]));
  }

  async function show(part) {
    const elements = [...part.querySelectorAll(".surface")];
    for (const element of elements) await draw(element, tasks[part.dataset.number][element.dataset.number]);
    together(elements);
    part.dataset.surfaces = elements.length;
  }

  // A browser draws into a few 3D views at a time: those out of sight are given back.
  function hide(part) {
    for (const element of part.querySelectorAll(".surface")) Plotly.purge(element);
  }

  return { show, hide };
})();
