// Integers [n, columns] of xraisim.report.viewer.pack: deflated differences, their signs in the lowest bit.
"use strict";
async function unpack(text, columns) {
  const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const n = planes.length / 4, out = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    const folded = planes[i] | (planes[n + i] << 8) | (planes[2 * n + i] << 16) | (planes[3 * n + i] << 24);
    out[i] = ((folded >>> 1) ^ -(folded & 1)) + (i >= columns ? out[i - columns] : 0);
  }
  return out;
}
